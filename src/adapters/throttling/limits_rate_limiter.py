"""Requests, counted with the `limits` library in memory or in Redis."""

import time
from functools import lru_cache, partial

from limits import RateLimitItemPerSecond
from limits.aio.strategies import FixedWindowRateLimiter

from ordergate.adapters.throttling.counting import (
    FOR_A_CUSTOMER,
    Counting,
    SharedCounters,
    Tally,
    count_seconds,
    list_networks,
    make_tally,
)
from ordergate.application.ports.rate_limits import Allowance, Quota, RateLimiter, RatePolicy
from ordergate.domain.user import UserId

_KNOWN_ADDRESSES = 1_024
"""The addresses whose networks are not computed again."""
_MAX_ENDS = 50_000
"""About 10 MB. All are then forgotten, and Redis is asked for them again."""


class LimitsRateLimiter(Counting, RateLimiter):
    """Counts requests in fixed windows of `window_seconds`.

    A limit of 0 is none. Addresses count as in `LimitsThrottle`. `shared` counts for all workers
    and hosts; while it is unavailable, and without it, each process counts in its own memory with
    the same limits.
    """

    def __init__(
        self,
        *,
        per_address: int,
        per_client: int,
        window_seconds: int,
        shared: SharedCounters | None = None,
    ) -> None:
        super().__init__(shared)
        limits = {RatePolicy.ADDRESS: per_address, RatePolicy.CLIENT: per_client}
        self._quotas = tuple(
            Quota(policy, limit, window_seconds) for policy, limit in limits.items() if limit
        )
        self._address = RateLimitItemPerSecond(per_address, window_seconds, "requests-of-address")
        self._customer = RateLimitItemPerSecond(
            FOR_A_CUSTOMER * per_address, window_seconds, "requests-of-customer"
        )
        self._client = RateLimitItemPerSecond(per_client, window_seconds, "requests-of-client")
        self._ends: dict[str, float] = {}
        self._list_networks = lru_cache(_KNOWN_ADDRESSES)(
            partial(list_networks, self._address, self._customer)
        )

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """The quotas in force."""
        return self._quotas

    async def count_address(self, address: str) -> Allowance | None:
        """Count once for each network of the address.

        Sends one query to Redis for each, and a second one in each window.
        """
        if not self._address.amount:
            return None
        left = [
            await self._count(RatePolicy.ADDRESS, tally) for tally in self._list_networks(address)
        ]
        return min(left, key=lambda each: (each.is_allowed, each.remaining, -each.seconds))

    async def count_client(self, user: UserId) -> Allowance | None:
        """Count once for the user, with the queries of an address."""
        if not self._client.amount:
            return None
        return await self._count(RatePolicy.CLIENT, make_tally(self._client, str(user)))

    async def _count(self, policy: RatePolicy, tally: Tally) -> Allowance:
        async def count(counters: FixedWindowRateLimiter) -> Allowance:
            used, end = await self._use(counters, tally)
            left = tally.limit.amount - used
            return Allowance(policy, left >= 0, max(0, left), count_seconds(end, tally.limit))

        return await self._query(count)

    async def _use(self, counters: FixedWindowRateLimiter, tally: Tally) -> tuple[int, float]:
        """Count, and return the count with the end of its window.

        The end is by the wall clock. It is kept, because every query of it would be a round trip.
        """
        key, seconds = tally.limit.key_for(tally.key), tally.limit.get_expiry()
        used = await counters.storage.incr(key, seconds)
        if counters is self._memory:
            return used, await counters.storage.get_expiry(key)
        now = time.time()
        end = now + seconds if used == 1 else self._ends.get(key, 0.0)
        if end <= now:
            end = await counters.storage.get_expiry(key)
        if len(self._ends) >= _MAX_ENDS:
            self._ends.clear()
        self._ends[key] = end
        return used, end
