import asyncio
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from ordergate.adapters.passwords.bcrypt_password_hasher import BcryptPasswordHasher
from ordergate.application.errors import Overloaded
from ordergate.application.ports.passwords import PasswordHasher, Verification
from ordergate.domain.user import Password, PasswordHash
from tests.contracts.passwords_contract import PasswordHasherContract
from tests.support.program.captured_output import run_program
from tests.support.program.command import clean_environment, on_linux

COST = 5


def make(cost: int = COST, threads: int = 2, queue: int = 100) -> BcryptPasswordHasher:
    return BcryptPasswordHasher(cost=cost, threads=threads, queue=queue)


@pytest.fixture
def hasher() -> Iterator[BcryptPasswordHasher]:
    hasher = make()
    yield hasher
    hasher.close()


def plain(password: str, prefix: str = "2b", cost: int = COST) -> PasswordHash:
    made = bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost, b"2b")).decode()
    return PasswordHash(made.replace("$2b$", f"${prefix}$", 1))


class TestBcryptPasswordHasher(PasswordHasherContract):
    @pytest.fixture
    def hasher(self) -> Iterator[PasswordHasher]:
        hasher = make()
        yield hasher
        hasher.close()

    @pytest.fixture
    def outdated(self) -> PasswordHash:
        return plain("old password")


async def test_new_hashes_are_bcrypt_over_sha_256(hasher: BcryptPasswordHasher) -> None:
    stored = await hasher.hash(Password("password"))
    assert stored.startswith(f"$bcrypt-sha256$v=2,t=2b,r={COST}$")


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
async def test_plain_bcrypt_is_accepted_and_upgraded(
    hasher: BcryptPasswordHasher, prefix: str
) -> None:
    verification = await hasher.verify(Password("pässwörd"), plain("pässwörd", prefix))
    assert verification.matches
    assert (verification.upgraded or "").startswith("$bcrypt-sha256$")


@pytest.mark.parametrize("guess", ["x" * 73, "x" * 4096, "é" * 37])
async def test_long_password_is_refused_for_a_plain_hash(
    hasher: BcryptPasswordHasher, guess: str
) -> None:
    cut = guess.encode()[:72].decode()
    assert await hasher.verify(Password(guess), plain(cut)) == Verification(matches=False)


async def test_higher_cost_upgrades_a_hash(hasher: BcryptPasswordHasher) -> None:
    raised = make(cost=COST + 1)
    stored = await hasher.hash(Password("password"))
    verification = await raised.verify(Password("password"), stored)
    raised.close()
    assert verification.matches
    assert f",r={COST + 1}$" in (verification.upgraded or "")


async def test_lower_cost_weakens_no_hash(hasher: BcryptPasswordHasher) -> None:
    lowered = make(cost=COST - 1)
    stored = await hasher.hash(Password("password"))
    assert await lowered.verify(Password("password"), stored) == Verification(matches=True)
    lowered.close()


async def test_job_beyond_the_limit_is_refused_immediately() -> None:
    hasher = make(cost=11, threads=1, queue=2)
    results = await asyncio.gather(
        *(hasher.verify(Password("guess"), None) for _ in range(10)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert results.count(Verification(matches=False)) == 3
    assert len(refused) == 7
    assert all(error.retry_after >= 1 for error in refused)
    assert await hasher.verify(Password("guess"), None) == Verification(matches=False)
    hasher.close()


async def test_refusal_takes_no_time() -> None:
    hasher = make(cost=12, threads=1, queue=0)
    job = asyncio.create_task(hasher.hash(Password("slow")))
    await asyncio.sleep(0)
    started = time.perf_counter()
    with pytest.raises(Overloaded):
        await hasher.hash(Password("refused"))
    refusal = time.perf_counter() - started
    await job
    assert refusal < (time.perf_counter() - started) / 5
    hasher.close()


async def test_cancelled_job_frees_its_place() -> None:
    hasher = make(cost=10, threads=1, queue=1)
    running = asyncio.create_task(hasher.hash(Password("running")))
    waiting = asyncio.create_task(hasher.hash(Password("waiting")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await hasher.hash(Password("in its place"))
    await running
    hasher.close()


async def test_event_loop_continues_during_hashing() -> None:
    hasher = make(cost=12, threads=1)
    job = asyncio.create_task(hasher.hash(Password("slow")))
    turns = 0
    while not job.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100
    hasher.close()


async def test_refusals_cost_the_same_work() -> None:
    """Compare medians of alternating runs, because the machine's speed may drift."""
    hasher = make(cost=9, threads=1)
    password = Password("a wrong guess")
    cases = {
        "wrong password": await hasher.hash(Password("right")),
        "nobody": None,
        "no hash": PasswordHash("!"),
        "plain hash": plain("right", cost=9),
        "cheap plain hash": plain("right", cost=5),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(25):
        for name, stored in cases.items():
            started = time.perf_counter()
            assert await hasher.verify(password, stored) == Verification(matches=False)
            times[name].append(time.perf_counter() - started)
    hasher.close()
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, median in medians.items():
        assert 0.75 < median / medians["wrong password"] < 1.33, (name, medians)


@on_linux
async def test_hashing_yields_to_the_event_loop() -> None:
    def seen() -> tuple[int, int]:
        nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        return os.sched_getscheduler(0), nice

    policies = {}
    for low_priority in (True, False):
        hasher = BcryptPasswordHasher(cost=4, threads=1, queue=1, low_priority=low_priority)
        policies[low_priority] = await hasher._threads.run(seen)
        hasher.close()
    assert policies == {True: (os.SCHED_IDLE, 19), False: seen()}


@on_linux
@pytest.mark.parametrize(("started", "low_priority"), [("serve", True), ("users add", False)])
def test_hashing_runs_at_idle_priority_in_a_server_only(
    tmp_path: Path, *, started: str, low_priority: bool
) -> None:
    make = {
        "serve": "from ordergate.entrypoints.asgi import create; it = create().state.services",
        "users add": (
            "from ordergate.entrypoints.cli import runtime; it = runtime.require_token_issuer()"
        ),
    }[started]
    policy = "import asyncio, os; policy = lambda: os.sched_getscheduler(0) == os.SCHED_IDLE"
    result = run_program(
        [
            sys.executable,
            "-c",
            f"{make}; {policy}; print(asyncio.run(it.hasher()._threads.run(policy)))",
        ],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        check=True,
        text=True,
    )
    assert result.stdout == f"{low_priority}\n"


@on_linux
def test_hashing_uses_the_available_processors() -> None:
    from_settings = "from ordergate.entrypoints.config.settings import Settings"
    read = f"{from_settings}; print(Settings().hashing_threads)"
    bound = f"import os; os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}}); {read}"
    result = run_program([sys.executable, "-c", bound], capture_output=True, check=True)
    assert result.stdout == b"1\n"


async def test_hashing_works_when_priorities_cannot_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(*_: int) -> None:
        raise PermissionError

    for name in ("setpriority", "sched_setscheduler"):
        monkeypatch.setattr(os, name, forbidden, raising=False)
    hasher = BcryptPasswordHasher(cost=4, threads=1, queue=1)
    hashed = await hasher.hash(Password("correct horse battery staple"))
    assert (await hasher.verify(Password("correct horse battery staple"), hashed)).matches
    hasher.close()
