"""Sign-ins of one client beside floods of others, and beside other programs.

Times are compared in one run, as ratios. A machine that is shared has bad moments: of several
rounds the best counts.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.attack.clients import CLIENTS, PASSWORD
from tests.attack.suite import client_process, sign_in_user1
from tests.support.program.command import PATIENT, on_linux, ordergate
from tests.support.program.server import Server

pytestmark = pytest.mark.timing

ROUNDS = 6
USERS = 4


def serve(folder: Path, cost: int, *, new_session: bool = True) -> Server:
    settings: dict[str, Any] = {"BCRYPT_COST": cost, **PATIENT}
    assert ordergate("migrate", cwd=folder).returncode == 0
    seed = ordergate(
        "seed", "--users", USERS, "--orders", 40, cwd=folder, **settings, PASSWORD=PASSWORD
    )
    assert seed.returncode == 0, seed.stderr
    return Server.start("serve", cwd=folder, new_session=new_session, **settings)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = serve(tmp_path_factory.mktemp("attacked"), 10)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tokens(server: Server) -> list[str]:
    """Sign each user in from this address, and return their tokens."""
    return [sign_in_user1(server.url, f"user{number}") for number in range(1, USERS + 1)]


@pytest.fixture
def client(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=120) as client:
        yield client


def measure_seconds(action: Callable[[], httpx2.Response], times: int) -> list[float]:
    """Return the seconds of `times` successful actions, run in turn."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        answer = action()
        taken.append(time.perf_counter() - began)
        assert answer.status_code == 200, answer.text
    return taken


def measure_sign_ins(client: httpx2.Client, times: int = 5) -> float:
    """Return the median time of a sign-in of user 2."""
    form = {"username": "user2", "password": PASSWORD}
    return statistics.median(measure_seconds(lambda: client.post("/login", data=form), times))


def lowest(ratio: Callable[[], float], *, wanted: float) -> float:
    """Measure a ratio up to `ROUNDS` times; return the lowest.

    Stops when it is as low as wanted.
    """
    ratios: list[float] = []
    while len(ratios) < ROUNDS and (not ratios or ratios[-1] > wanted):
        ratios.append(ratio())
    return min(ratios)


@contextmanager
def flood(name: str, server: Server, token: str) -> Iterator[None]:
    """Run a hostile client, which must be answered as expected."""
    with client_process(name, server.url, token) as statuses:
        with httpx2.Client(base_url=server.url, timeout=120) as client:
            deadline = time.monotonic() + 1  # it imports what it needs
            while time.monotonic() < deadline:
                client.get("/livez")
        yield
    assert CLIENTS[name].statuses & statuses


@pytest.mark.parametrize(
    "name", ["confirms its password", "confirms a wrong password", "signs up", "guesses passwords"]
)
def test_password_flood_delays_sign_ins_of_others_by_a_few_hashes(
    server: Server, client: httpx2.Client, tokens: list[str], name: str
) -> None:
    def ratio() -> float:
        alone = measure_sign_ins(client)
        with flood(name, server, tokens[0]):
            return measure_sign_ins(client) / alone

    assert lowest(ratio, wanted=10) <= 10


def test_reads_take_at_most_twice_as_long_during_a_flood_of_sign_ins(
    server: Server, client: httpx2.Client, tokens: list[str]
) -> None:
    headers = {"Authorization": f"Bearer {tokens[1]}"}

    def p99() -> float:
        reads = measure_seconds(lambda: client.get("/order?id=2", headers=headers), 1_000)
        return statistics.quantiles(reads, n=100)[98]

    alone: list[float] = []
    beside: list[float] = []
    while len(alone) < 3 or (len(alone) < ROUNDS and min(beside) > 2 * min(alone)):
        alone.append(p99())
        with flood("signs in to four accounts", server, tokens[0]):
            beside.append(p99())
    assert min(beside) <= 2 * min(alone)


@contextmanager
def busy_programs() -> Iterator[None]:
    """Keep every processor, at least two, busy with programs of this session."""
    count = max(2, os.cpu_count() or 2)
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


def test_sign_in_takes_at_most_three_times_as_long_beside_busy_programs(tmp_path: Path) -> None:
    server = serve(tmp_path, 12, new_session=False)

    def ratio() -> float:
        with httpx2.Client(base_url=server.url, timeout=300) as client:
            alone = measure_sign_ins(client, 3)
            with busy_programs():
                return measure_sign_ins(client, 3) / alone

    try:
        assert lowest(ratio, wanted=3) <= 3
    finally:
        server.stop()


@on_linux
def test_sign_ins_get_a_tenth_of_the_processor_during_a_flood_of_reads(
    tmp_path: Path,
) -> None:
    """Both have a processor of their own, as on two machines.

    One ratio holds on one processor, too.
    """
    server = serve(tmp_path, 10)
    first, *others = sorted(os.sched_getaffinity(0))
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {first})
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, others or {first})  # and what is started from here
    try:
        token = sign_in_user1(server.url, "user1")

        def ratio() -> float:
            with httpx2.Client(base_url=server.url, timeout=300) as client:
                alone = measure_sign_ins(client, 3)
                with client_process("reads its order", server.url, token, connections=16):
                    return measure_sign_ins(client, 3) / alone

        assert lowest(ratio, wanted=20) <= 20
    finally:
        os.sched_setaffinity(0, here)
        server.stop()
