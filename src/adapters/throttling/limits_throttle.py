"""Failed sign-ins, counted with the `limits` library in memory or in Redis."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from limits import RateLimitItemPerSecond

from ordergate.adapters.throttling.counting import (
    FOR_A_CUSTOMER,
    Counting,
    SharedCounters,
    Tally,
    count_seconds,
    list_networks,
    make_tally,
)
from ordergate.application.errors import Throttled
from ordergate.application.ports.passwords import (
    AccountKey,
    SessionKey,
    Throttle,
    ThrottleKey,
    UnusableNameKey,
    Verification,
    Verify,
)
from ordergate.domain.address import find_client_network


class LimitsThrottle(Counting, Throttle):
    """Blocks a key, and an address, after too many failures.

    A window of `window_seconds` begins with its first failure. `per_account` is the limit of a key,
    and of a key from one address. `per_address` is the limit of an address, and of registrations
    from it. IPv6 addresses count by their /64, and a /48 has ten times the limit. Text that is not
    an IP address counts as it is.

    `shared` counts for all workers and hosts. It stores digests, and neither names nor addresses.
    While it is unavailable, and without it, each process counts in its own memory with the same
    limits. Guesses in progress are counted in each process only.
    """

    def __init__(
        self,
        *,
        per_account: int,
        per_address: int,
        window_seconds: int,
        shared: SharedCounters | None = None,
    ) -> None:
        super().__init__(shared)
        self._account = RateLimitItemPerSecond(per_account, window_seconds, "account")
        self._address = RateLimitItemPerSecond(per_address, window_seconds, "address")
        self._customer = RateLimitItemPerSecond(
            FOR_A_CUSTOMER * per_address, window_seconds, "customer"
        )
        self._pair = RateLimitItemPerSecond(per_account, window_seconds, "account-at-address")
        self._sign_ups = RateLimitItemPerSecond(per_address, window_seconds, "sign-ups")
        self._sign_ups_of_customer = RateLimitItemPerSecond(
            FOR_A_CUSTOMER * per_address, window_seconds, "sign-ups-of-customer"
        )
        self._under_way: Counter[Tally] = Counter()

    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        """Verify one guess.

        Sends up to ten queries to Redis, of at most 1 s.
        """
        parts = _split_key(key)
        pair = make_tally(self._pair, *parts, find_client_network(address))
        others = (
            make_tally(self._account, *parts),
            *list_networks(self._address, self._customer, address),
        )
        with self._enter(pair, *others) as ahead:
            asked = (pair,) if familiar else others
            if seconds := max([await self._wait(tally, ahead[tally]) for tally in asked]):
                raise Throttled(retry_after=seconds)
            outcome = await verify()
            # The guess stays in progress while its failure is stored: no other escapes the count.
            if outcome.matches:
                await self._query(lambda counters: counters.clear(*pair))
            else:
                for tally in (pair, *others):
                    await self._count(tally)
        return outcome

    async def count_sign_up(self, address: str) -> None:
        """Count once for each network of the address."""
        for tally in list_networks(self._sign_ups, self._sign_ups_of_customer, address):
            if not await self._count(tally):
                raise Throttled(retry_after=await self._wait(tally, 0) or 1)

    @contextmanager
    def _enter(self, *tallies: Tally) -> Iterator[dict[Tally, int]]:
        """Count a guess as in progress; return how many preceded it.

        One of those may fail during the query to Redis and then counts twice. None is missed.
        """
        ahead = {tally: self._under_way[tally] for tally in tallies}
        self._under_way.update(tallies)
        try:
            yield ahead
        finally:
            self._under_way.subtract(tallies)
            for tally in tallies:
                if not self._under_way[tally]:
                    del self._under_way[tally]

    async def _wait(self, tally: Tally, ahead: int) -> int:
        """Return 0 for an allowed failure, else the seconds to wait."""
        if await self._query(lambda counters: counters.test(*tally, cost=ahead + 1)):
            return 0
        window = await self._query(lambda counters: counters.get_window_stats(*tally))
        if window.remaining:
            return 1  # guesses in progress reach the limit; their results are due soon
        return count_seconds(window.reset_time, tally.limit)

    async def _count(self, tally: Tally) -> bool:
        return await self._query(lambda counters: counters.hit(*tally))


def _split_key(key: ThrottleKey) -> tuple[str, ...]:
    """Write a key as text. The first part separates the kinds."""
    match key:
        case AccountKey(name):
            return "account", name
        case UnusableNameKey(name):
            return "unusable name", name
        case SessionKey(user, session):
            return "session", str(user), str(session)
