"""Faults of limiters of requests."""

import asyncio
from dataclasses import replace

from ordergate.adapters.throttling.limits_rate_limiter import LimitsRateLimiter
from ordergate.application.ports.rate_limits import Allowance
from ordergate.domain.user import UserId
from tests.unit.mutants.kit import caught_by


@caught_by(
    "test_ipv6_address_counts_as_its_64",
    "test_ipv4_address_counts_as_one_in_every_spelling",
    "test_ipv6_48_is_refused_after_ten_times_as_many_requests",
)
class CountsWholeAddresses(LimitsRateLimiter):
    """One customer has 2^64 addresses."""

    async def count_address(self, address: str) -> Allowance | None:
        return await super().count_address(f"={address}")


@caught_by("test_ipv6_48_is_refused_after_ten_times_as_many_requests")
class CountsNoCustomers(LimitsRateLimiter):
    """One customer has 65,536 networks."""

    async def count_address(self, address: str) -> Allowance | None:
        first = self._list_networks(address)[0]
        return await self._count(self.quotas[0].policy, first)


@caught_by("test_users_and_addresses_are_counted_separately")
class CountsUsersAsAddresses(LimitsRateLimiter):
    """A user shuts an address."""

    async def count_client(self, user: UserId) -> Allowance | None:
        await super().count_address(str(user))
        return await super().count_client(user)


@caught_by("test_user_is_refused_after_three_requests", "test_parallel_requests_share_one_quota")
class AllowsOneMore(LimitsRateLimiter):
    """The last request is not the last."""

    async def count_client(self, user: UserId) -> Allowance | None:
        allowance = await super().count_client(user)
        return allowance and replace(allowance, is_allowed=True)


@caught_by("test_parallel_requests_share_one_quota")
class LooksBeforeItCounts(LimitsRateLimiter):
    """Requests that come together are all allowed."""

    def __init__(self, *, per_address: int, per_client: int, window_seconds: int) -> None:
        super().__init__(
            per_address=per_address, per_client=per_client, window_seconds=window_seconds
        )
        self._used = 0

    async def count_client(self, user: UserId) -> Allowance | None:
        used = self._used
        await asyncio.sleep(0)
        self._used += 1
        allowance = await super().count_client(user)
        return allowance and replace(allowance, is_allowed=used < self._client.amount)
