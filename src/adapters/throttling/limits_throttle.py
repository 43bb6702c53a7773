"""Failed sign-ins, counted with the `limits` library in memory or in a Redis that all share."""

import hashlib
import math
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol, TypeVar

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.strategies import FixedWindowRateLimiter

from ordergate.adapters.throttling.counters_in_memory import CountersInMemory
from ordergate.application.errors import Throttled
from ordergate.application.ports.passwords import (
    AccountKey,
    SessionKey,
    Throttle,
    ThrottleKey,
    UnusableNameKey,
    Verification,
)
from ordergate.domain.address import client_network, customer_network

T = TypeVar("T")

_DIGEST_CHARACTERS = 32
_FOR_A_CUSTOMER = 10
"""How many times the limit of an address the network of a customer has."""


class _Tally(NamedTuple):
    """The failures of one key, of one address, or of a key from an address."""

    limit: RateLimitItem
    key: str


class SharedCounters(Protocol):
    """Counters that workers and hosts share."""

    @abstractmethod
    async def ask(
        self,
        question: Callable[[FixedWindowRateLimiter], Awaitable[T]],
        memory: FixedWindowRateLimiter,
    ) -> T:
        """Ask the counters, or this process's memory while they cannot be used."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connections; a later question opens new ones."""


class LimitsThrottle(Throttle):
    """Shuts a key, and an address, at so many failures in a window of `window_seconds`.

    A window begins with its first failure. `per_account` also is the number of failures of one
    key from one address, and `per_address` that of accounts opened from an address. IPv6
    addresses count by their /64, and ten times as many shut a /48; what is no IP address is
    counted as it is written.

    `shared` counts for all workers and hosts. It keeps digests, and neither names nor addresses.
    While it does not answer, and without it, each process counts in its own memory, to the same
    numbers. Guesses under way are counted in each process by itself.
    """

    def __init__(
        self,
        *,
        per_account: int,
        per_address: int,
        window_seconds: int,
        shared: SharedCounters | None = None,
    ) -> None:
        self._account = RateLimitItemPerSecond(per_account, window_seconds, "account")
        self._address = RateLimitItemPerSecond(per_address, window_seconds, "address")
        self._customer = RateLimitItemPerSecond(
            _FOR_A_CUSTOMER * per_address, window_seconds, "customer"
        )
        self._pair = RateLimitItemPerSecond(per_account, window_seconds, "account-at-address")
        self._sign_ups = RateLimitItemPerSecond(per_address, window_seconds, "sign-ups")
        self._sign_ups_of_customer = RateLimitItemPerSecond(
            _FOR_A_CUSTOMER * per_address, window_seconds, "sign-ups-of-customer"
        )
        self._under_way: Counter[_Tally] = Counter()
        self._memory = FixedWindowRateLimiter(CountersInMemory())
        self._shared = shared

    async def guard(
        self,
        key: ThrottleKey,
        address: str,
        verify: Callable[[], Awaitable[Verification]],
        *,
        familiar: bool,
    ) -> Verification:
        """Verify one guess; up to ten short questions to Redis, each answered within 1 s."""
        parts = _key_parts(key)
        pair = _tally(self._pair, *parts, client_network(address))
        others = (
            _tally(self._account, *parts),
            *_networks(self._address, self._customer, address),
        )
        with self._entered(pair, *others) as ahead:
            asked = (pair,) if familiar else others
            if seconds := max([await self._wait(tally, ahead[tally]) for tally in asked]):
                raise Throttled(retry_after=seconds)
            outcome = await verify()
            # Still under way while it is written down, so that no other guess slips in between.
            if outcome.matches:
                await self._ask(lambda counters: counters.clear(*pair))
            else:
                for tally in (pair, *others):
                    await self._count(tally)
        return outcome

    async def count_sign_up(self, address: str) -> None:
        """Count in one step for each network of the address."""
        for tally in _networks(self._sign_ups, self._sign_ups_of_customer, address):
            if not await self._count(tally):
                raise Throttled(retry_after=await self._wait(tally, 0) or 1)

    async def close(self) -> None:
        """Close the connections to Redis; a later guess opens new ones."""
        if self._shared is not None:
            await self._shared.close()

    @contextmanager
    def _entered(self, *tallies: _Tally) -> Iterator[dict[_Tally, int]]:
        """Count a guess as under way, and tell how many were so before it.

        One of those may fail while Redis is asked, and then counts twice; never not at all.
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

    async def _wait(self, tally: _Tally, ahead: int) -> int:
        """Return 0 if there is room for one more failure, else the seconds until there may be."""
        if await self._ask(lambda counters: counters.test(*tally, cost=ahead + 1)):
            return 0
        window = await self._ask(lambda counters: counters.get_window_stats(*tally))
        if window.remaining:
            return 1  # guesses under way have the room; they will be judged soon
        # Redis rounds what is left to whole seconds: half a second more is never too early.
        seconds = math.ceil(window.reset_time - time.time() + 0.5)
        return max(1, min(seconds, tally.limit.get_expiry()))

    async def _count(self, tally: _Tally) -> bool:
        return await self._ask(lambda counters: counters.hit(*tally))

    async def _ask(self, question: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T:
        if self._shared is None:
            return await question(self._memory)
        return await self._shared.ask(question, self._memory)


def _networks(limit: RateLimitItem, of_customer: RateLimitItem, address: str) -> list[_Tally]:
    """Return the counter of an address, and of IPv6 that of its customer's network."""
    site, customer = client_network(address), customer_network(address)
    tallies = [_tally(limit, site)]
    return tallies if customer == site else [*tallies, _tally(of_customer, customer)]


def _key_parts(key: ThrottleKey) -> tuple[str, ...]:
    """Write a key as text; the first part keeps the kinds apart."""
    match key:
        case AccountKey(name):
            return "account", name
        case UnusableNameKey(name):
            return "unusable name", name
        case SessionKey(user, session):
            return "session", str(user), str(session)


def _tally(limit: RateLimitItem, *of: str) -> _Tally:
    text = repr((limit.namespace, *of))
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return _Tally(limit, digest[:_DIGEST_CHARACTERS])
