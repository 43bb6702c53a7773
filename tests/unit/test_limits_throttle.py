import pytest

from adapters.throttle import LimitsThrottle
from application.errors import Throttled
from application.ports.passwords import Throttle
from tests.contracts.throttle import HERE, THERE, ThrottleContract, guess


class TestLimitsThrottleInMemory(ThrottleContract):
    @pytest.fixture
    def throttle(self) -> Throttle:
        return LimitsThrottle(per_account=3, per_address=6, window_seconds=60)


async def test_the_longer_of_two_waits_is_told() -> None:
    throttle = LimitsThrottle(per_account=1, per_address=1, window_seconds=60)
    await guess(throttle, "alice", HERE)
    async with throttle.attempt("bob", THERE, familiar=False):
        with pytest.raises(Throttled) as refusal:
            await guess(throttle, "alice", THERE)
    assert refusal.value.retry_after == 60


async def test_nothing_is_kept_of_guesses_that_are_over() -> None:
    throttle = LimitsThrottle(per_account=3, per_address=6, window_seconds=60)
    await guess(throttle)
    await guess(throttle, matched=True)
    await guess(throttle, matched=None)
    assert not throttle._under_way
