import time

import pytest
from prometheus_client import CollectorRegistry

from ordergate.adapters.metrics.instruments import Instruments
from ordergate.adapters.metrics.measured_rate_limiter import MeasuredRateLimiter
from ordergate.adapters.throttling.limits_rate_limiter import LimitsRateLimiter
from ordergate.application.ports.rate_limits import RateLimiter
from tests.contracts.rate_limiter_contract import (
    ALICE,
    RateLimiterContract,
    count_address,
    count_client,
)
from tests.support.identity.throttle_calls import HERE


def a_limiter(per_address: int = 6, per_client: int = 3) -> LimitsRateLimiter:
    return LimitsRateLimiter(per_address=per_address, per_client=per_client, window_seconds=60)


class TestLimitsRateLimiterInMemory(RateLimiterContract):
    @pytest.fixture
    def limiter(self) -> RateLimiter:
        return a_limiter()


class TestMeasuredRateLimiter(RateLimiterContract):
    @pytest.fixture
    def limiter(self) -> RateLimiter:
        return MeasuredRateLimiter(a_limiter(), Instruments(CollectorRegistry()))


async def test_refused_request_is_counted_by_its_policy() -> None:
    registry = CollectorRegistry()
    limiter = MeasuredRateLimiter(a_limiter(), Instruments(registry))
    await count_address(limiter, times=8)
    await count_client(limiter, times=4)
    refused = {
        policy: registry.get_sample_value("ordergate_rate_limit_refused_total", {"policy": policy})
        for policy in ("address", "client")
    }
    assert refused == {"address": 2, "client": 1}


async def test_limit_of_zero_counts_nothing() -> None:
    by_client, by_address = a_limiter(per_address=0), a_limiter(per_client=0)
    assert await by_client.count_address(HERE) is None
    assert await by_address.count_client(ALICE) is None
    assert [quota.policy for quota in by_client.quotas] == ["client"]
    assert [quota.policy for quota in by_address.quotas] == ["address"]
    assert await by_client._memory.storage.reset() == 0


async def test_window_ends_by_a_clock_that_is_never_set(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = a_limiter()
    await count_client(limiter, times=3)
    wall, ticks = time.time(), time.monotonic()
    monkeypatch.setattr(time, "time", lambda: wall + 3_600)
    refused = await count_client(limiter)
    assert (refused.is_allowed, refused.seconds) == (False, 60)
    monkeypatch.setattr(time, "monotonic", lambda: ticks + 61)
    assert (await count_client(limiter)).remaining == 2


async def test_refused_requests_do_not_prolong_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = a_limiter()
    ticks = time.monotonic()
    for seconds in range(0, 60, 10):
        monkeypatch.setattr(time, "monotonic", lambda now=ticks + seconds: now)
        await count_client(limiter)
    assert not (await count_client(limiter)).is_allowed
    monkeypatch.setattr(time, "monotonic", lambda: ticks + 61)
    assert (await count_client(limiter)).is_allowed
