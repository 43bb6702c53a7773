import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import TypeVar

import bcrypt
import pytest

from ordergate.adapters.passwords.hashing_threads import HashingThreads
from ordergate.adapters.passwords.starvation import Usage
from ordergate.application.errors import Overloaded, Throttled
from ordergate.application.ports.passwords import HashingLoad, Requester
from tests.support.program.command import on_linux, wait_until

pytestmark = pytest.mark.timing

T = TypeVar("T")

SALT = bcrypt.gensalt(4)


def hash_once() -> None:
    bcrypt.hashpw(b"password", SALT)


@pytest.fixture
async def one_thread() -> AsyncIterator[tuple[HashingThreads, threading.Event]]:
    """Return one thread with twenty waiting places, busy until the event."""
    threads, go_on = HashingThreads(threads=1, queue=20, low_priority=False), threading.Event()
    busy = asyncio.create_task(threads.run(go_on.wait))
    await asyncio.sleep(0)
    yield threads, go_on
    go_on.set()
    await busy
    threads.close()


async def run_all(
    threads: HashingThreads, go_on: threading.Event, requesters: list[Requester]
) -> tuple[list[str], Counter[str]]:
    """Run one hash for each; return accounts in served order, and results."""
    served: list[str] = []

    async def run(requester: Requester) -> str:
        def work() -> None:
            hash_once()
            served.append(requester.account)

        try:
            await threads.run(work, requester)
        except (Overloaded, Throttled) as refusal:
            assert refusal.retry_after >= 1
            return f"{requester.account} {type(refusal).__name__}"
        return f"{requester.account} served"

    jobs = [asyncio.create_task(run(requester)) for requester in requesters]
    await asyncio.sleep(0)
    go_on.set()
    return served, Counter(await asyncio.gather(*jobs))


def client(
    account: str, network: str = "192.0.2.1", *, known: bool = True, customer: str = ""
) -> Requester:
    return Requester(customer or network, network, account, known)


async def test_account_has_at_most_ten_jobs_from_all_networks(
    one_thread: tuple[HashingThreads, threading.Event],
) -> None:
    flood = [client("mallory", f"192.0.2.{number}") for number in range(76)]
    _, answers = await run_all(*one_thread, [*flood, client("bob")])
    assert answers == {"mallory served": 10, "mallory Throttled": 66, "bob served": 1}


async def test_unknown_clients_leave_the_places_of_an_account_to_known_ones(
    one_thread: tuple[HashingThreads, threading.Event],
) -> None:
    strangers = [client("alice", "198.51.100.7", known=False) for _ in range(76)]
    _, answers = await run_all(*one_thread, [*strangers, client("alice")])
    assert answers == {"alice served": 11, "alice Throttled": 66}


async def test_network_yields_to_others_when_it_fills_the_queue(
    one_thread: tuple[HashingThreads, threading.Event],
) -> None:
    flood = [client(f"user{number}", "198.51.100.7", known=False) for number in range(76)]
    served, answers = await run_all(*one_thread, [*flood, client("bob"), client("carol")])
    assert answers["bob served"] == answers["carol served"] == 1
    assert sum(answers.values()) == 78
    assert served.index("bob") <= 1
    assert served.index("carol") <= 3
    assert len(served) == 20


async def test_customer_with_many_networks_yields_to_others(
    one_thread: tuple[HashingThreads, threading.Event],
) -> None:
    flood = [
        client(f"user{number}", f"2001:db8:0:{number}::/64", customer="2001:db8::/48")
        for number in range(76)
    ]
    served, answers = await run_all(*one_thread, [*flood, client("bob"), client("carol")])
    assert answers["bob served"] == answers["carol served"] == 1
    assert served.index("bob") <= 1
    assert served.index("carol") <= 3


async def test_unknown_clients_that_fill_the_queue_give_way_to_known_ones_of_their_network(
    one_thread: tuple[HashingThreads, threading.Event],
) -> None:
    flood = [client(f"user{number}", known=False) for number in range(76)]
    served, answers = await run_all(*one_thread, [*flood, client("bob")])
    assert answers["bob served"] == 1
    assert served.index("bob") <= 1


async def test_served_account_may_queue_again(
    one_thread: tuple[HashingThreads, threading.Event],
) -> None:
    threads, go_on = one_thread
    await run_all(threads, go_on, [client("alice")] * 20)
    _, answers = await run_all(threads, go_on, [client("alice")] * 5)
    assert answers == {"alice served": 5}


async def test_failed_job_fails_its_caller_alone(
    one_thread: tuple[HashingThreads, threading.Event],
) -> None:
    def fail() -> None:
        raise ValueError("no hash today")

    threads, go_on = one_thread
    go_on.set()
    with pytest.raises(ValueError, match="no hash today"):
        await threads.run(fail)
    await threads.run(hash_once)


async def test_close_cancels_waiting_jobs() -> None:
    threads, go_on = HashingThreads(threads=1, queue=10, low_priority=False), threading.Event()
    jobs = [asyncio.create_task(threads.run(go_on.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    threads.close()
    go_on.set()
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [False, True, True]


class MeasuredThreads(HashingThreads):
    """Takes processor shares from the test; the machine's clocks have noise.

    Each reading is a second later than the one before, and each job takes two.
    """

    def __init__(self, yielding: float, service: float) -> None:
        super().__init__(threads=1, queue=10, low_priority=True)
        self._shares = yielding, service
        self.readings = 0

    def _measure(self) -> Usage:
        self.readings += 1
        yielding, service = self._shares
        return Usage(self.readings, self.readings * yielding, self.readings * service)

    def _with_timer(self, work: Callable[[], T]) -> Callable[[], T]:
        self._seconds_a_job = 2.0
        return work

    async def run_until(self, done: Callable[[list[int]], bool]) -> list[int]:
        """Run one job until `done`; return the readings at competing starts."""
        go_on, began = threading.Event(), []

        def work() -> None:
            if threading.current_thread().name.startswith("hashing-starved"):
                began.append(self.readings)
            go_on.wait()

        job = asyncio.create_task(self.run(work))
        await asyncio.to_thread(wait_until, lambda: done(began))
        go_on.set()
        await job
        return began


@on_linux
@pytest.mark.parametrize(
    ("yielding", "service", "starved"),
    [(0.0, 0.0, True), (0.1, 0.4, True), (0.0, 0.6, True), (0.2, 0.0, False), (0.2, 0.6, False)],
)
async def test_job_is_restarted_when_idle_threads_are_starved(
    *, yielding: float, service: float, starved: bool
) -> None:
    threads = MeasuredThreads(yielding, service)
    began = await threads.run_until(lambda began: threads.readings >= 10 and len(began) >= starved)
    threads.close()
    assert len(began) == starved


@on_linux
@pytest.mark.parametrize(("service", "pause"), [(0.0, 0), (0.6, 20)])
async def test_jobs_get_a_tenth_of_a_processor_from_their_own_service(
    service: float, pause: int
) -> None:
    threads = MeasuredThreads(0.0, service)
    times = [(await threads.run_until(bool))[0] for _ in range(3)]
    threads.close()
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(pause <= each < pause + 15 for each in pauses)


async def test_running_and_waiting_jobs_are_counted(
    one_thread: tuple[HashingThreads, threading.Event],
) -> None:
    threads, go_on = one_thread
    waiting = [asyncio.create_task(threads.run(hash_once)) for _ in range(3)]
    await asyncio.sleep(0)
    assert threads.count_jobs() == HashingLoad(threads=1, busy=1, queue=20, waiting=3)
    go_on.set()
    await asyncio.gather(*waiting)
    assert threads.count_jobs().waiting == 0
