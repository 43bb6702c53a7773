import time

import pytest

from ordergate.adapters.throttling import counters_in_memory as module
from ordergate.adapters.throttling.limits_throttle import LimitsThrottle
from ordergate.application.errors import Throttled
from ordergate.application.ports.passwords import Throttle, Verification, make_sign_in_key
from tests.contracts.throttle_contract import ThrottleContract
from tests.support.identity.throttle_calls import HERE, MATCH, THERE, guess


class TestLimitsThrottleInMemory(ThrottleContract):
    @pytest.fixture
    def throttle(self) -> Throttle:
        return LimitsThrottle(per_account=3, per_address=6, window_seconds=60)


async def test_retry_after_is_the_longer_of_two_waits() -> None:
    throttle = LimitsThrottle(per_account=1, per_address=1, window_seconds=60)
    await guess(throttle, "alice", HERE)
    waits: list[int] = []

    async def guess_meanwhile() -> Verification:
        with pytest.raises(Throttled) as refusal:
            await guess(throttle, "alice", THERE)
        waits.append(refusal.value.retry_after)
        return MATCH

    await throttle.guard(make_sign_in_key("bob"), THERE, guess_meanwhile, familiar=False)
    assert waits == [60]


async def test_expired_counters_are_removed() -> None:
    throttle = LimitsThrottle(per_account=3, per_address=6, window_seconds=60)
    await guess(throttle)
    await guess(throttle, matched=True)
    await guess(throttle, matched=None)
    assert not throttle._under_way


async def test_count_takes_no_longer_with_many_counters() -> None:
    """The library's memory store scanned every counter for each attempt.

    Both are compared in one run.
    """
    throttle = LimitsThrottle(per_account=3, per_address=6, window_seconds=60)

    async def measure_1000_guesses(first: int) -> float:
        began = time.thread_time()
        for number in range(first, first + 1_000):
            await throttle.count_sign_up(f"2001:db8:{number:x}::1")
        return time.thread_time() - began

    times = [await measure_1000_guesses(first) for first in range(0, 20_000, 1_000)]
    assert min(times[-5:]) < 5 * min(times[:5])


async def test_number_of_counters_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_COUNTERS", 10)
    throttle = LimitsThrottle(per_account=3, per_address=1, window_seconds=60)
    for number in range(100):
        await throttle.count_sign_up(f"192.0.2.{number}")
    with pytest.raises(Throttled):
        await throttle.count_sign_up("192.0.2.99")
    assert await throttle._memory.storage.reset() == 10


async def test_window_ends_by_a_clock_that_is_never_set(monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = LimitsThrottle(per_account=3, per_address=1, window_seconds=60)
    await throttle.count_sign_up(HERE)
    wall, ticks = time.time(), time.monotonic()
    monkeypatch.setattr(time, "time", lambda: wall + 3_600)
    with pytest.raises(Throttled) as refusal:
        await throttle.count_sign_up(HERE)
    assert refusal.value.retry_after == 60
    monkeypatch.setattr(time, "monotonic", lambda: ticks + 61)
    await throttle.count_sign_up(HERE)
