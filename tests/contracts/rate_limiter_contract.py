"""Rate limiter contract."""

import asyncio

import pytest

from ordergate.application.ports.rate_limits import (
    Allowance,
    Quota,
    RateLimiter,
    RatePolicy,
)
from ordergate.domain.user import UserId
from tests.support.identity.throttle_calls import HERE, THERE

ALICE, BOB = UserId(1), UserId(2)


async def count_address(limiter: RateLimiter, address: str = HERE, times: int = 1) -> Allowance:
    """Count requests and return what the last one leaves."""
    allowance = None
    for _ in range(times):
        allowance = await limiter.count_address(address)
    assert allowance is not None
    assert 1 <= allowance.seconds <= 60
    return allowance


async def count_client(limiter: RateLimiter, user: UserId = ALICE, times: int = 1) -> Allowance:
    """Count requests and return what the last one leaves."""
    allowance = None
    for _ in range(times):
        allowance = await limiter.count_client(user)
    assert allowance is not None
    assert 1 <= allowance.seconds <= 60
    return allowance


class RateLimiterContract:
    """`RateLimiter`."""

    @pytest.fixture
    def limiter(self) -> RateLimiter:
        """Return a limiter with small quotas.

        An address has 6 requests and a user 3, in 60 s.
        """
        raise NotImplementedError

    async def test_quotas_are_those_in_force(self, limiter: RateLimiter) -> None:
        assert list(limiter.quotas) == [
            Quota(RatePolicy.ADDRESS, 6, 60),
            Quota(RatePolicy.CLIENT, 3, 60),
        ]

    async def test_address_is_refused_after_six_requests(self, limiter: RateLimiter) -> None:
        for remaining in (5, 4, 3, 2, 1, 0):
            allowance = await count_address(limiter)
            assert (allowance.policy, allowance.is_allowed) == (RatePolicy.ADDRESS, True)
            assert allowance.remaining == remaining
        for _ in range(3):
            allowance = await count_address(limiter)
            assert (allowance.is_allowed, allowance.remaining) == (False, 0)
        assert (await count_address(limiter, THERE)).remaining == 5

    async def test_user_is_refused_after_three_requests(self, limiter: RateLimiter) -> None:
        for remaining in (2, 1, 0):
            allowance = await count_client(limiter)
            assert (allowance.policy, allowance.is_allowed) == (RatePolicy.CLIENT, True)
            assert allowance.remaining == remaining
        for _ in range(3):
            allowance = await count_client(limiter)
            assert (allowance.is_allowed, allowance.remaining) == (False, 0)
        assert (await count_client(limiter, BOB)).remaining == 2

    async def test_users_and_addresses_are_counted_separately(self, limiter: RateLimiter) -> None:
        await count_client(limiter, UserId(1), times=4)
        assert (await count_address(limiter, "1")).remaining == 5

    async def test_window_begins_with_its_first_request(self, limiter: RateLimiter) -> None:
        assert (await count_address(limiter)).seconds == 60
        assert (await count_client(limiter)).seconds == 60

    async def test_parallel_requests_share_one_quota(self, limiter: RateLimiter) -> None:
        allowances = await asyncio.gather(*(count_client(limiter) for _ in range(10)))
        assert sorted(each.is_allowed for each in allowances) == [False] * 7 + [True] * 3

    @pytest.mark.parametrize("address", ["2001:db8:0:1::1", "2001:DB8:0:1:ffff:ffff:ffff:ffff"])
    async def test_ipv6_address_counts_as_its_64(self, limiter: RateLimiter, address: str) -> None:
        for number in range(6):
            await count_address(limiter, f"2001:db8:0:1:{number}::")
        assert not (await count_address(limiter, address)).is_allowed
        assert (await count_address(limiter, "2001:db8:0:2::1")).remaining == 5

    async def test_ipv6_48_is_refused_after_ten_times_as_many_requests(
        self, limiter: RateLimiter
    ) -> None:
        for number in range(60):
            allowance = await count_address(limiter, f"2001:db8:0:{number:x}::1")
            assert allowance.is_allowed
            assert allowance.remaining == min(5, 59 - number)
        assert not (await count_address(limiter, "2001:db8:0:ffff::1")).is_allowed
        assert (await count_address(limiter, "2001:db8:1::1")).is_allowed

    async def test_ipv4_address_counts_as_one_in_every_spelling(self, limiter: RateLimiter) -> None:
        await count_address(limiter, f"::ffff:{HERE}", times=6)
        assert not (await count_address(limiter, HERE)).is_allowed

    @pytest.mark.parametrize("address", ["", "testclient", "999.0.0.1", "fe80::1%eth0", "\ud800"])
    async def test_any_text_is_accepted_as_an_address(
        self, limiter: RateLimiter, address: str
    ) -> None:
        await count_address(limiter, address, times=6)
        assert not (await count_address(limiter, address)).is_allowed

    async def test_limiter_may_be_closed_twice(self, limiter: RateLimiter) -> None:
        await count_client(limiter)
        await limiter.close()
        await limiter.close()
