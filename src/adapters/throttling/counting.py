"""What is counted, in memory or in shared counters."""

import hashlib
import math
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeVar

from limits import RateLimitItem
from limits.aio.strategies import FixedWindowRateLimiter

from ordergate.adapters.throttling.counters_in_memory import CountersInMemory
from ordergate.domain.address import find_client_network, find_customer_network

T = TypeVar("T")

FOR_A_CUSTOMER = 10
"""The limit of a customer's network, in limits of an address."""

_DIGEST_CHARACTERS = 32


class Tally(NamedTuple):
    """What is counted under a key, up to a limit."""

    limit: RateLimitItem
    key: str


class SharedCounters(Protocol):
    """Counters that workers and hosts share."""

    @abstractmethod
    async def query(
        self,
        query: Callable[[FixedWindowRateLimiter], Awaitable[T]],
        memory: FixedWindowRateLimiter,
    ) -> T:
        """Query the counters, or the process's memory while they are unavailable."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connections; a later query opens new ones."""


class Counting:
    """Counts in shared counters, or in the process's memory without them.

    The counters of a process have one length of window.
    """

    def __init__(self, shared: SharedCounters | None) -> None:
        self._memory = FixedWindowRateLimiter(CountersInMemory())
        self._shared = shared

    async def close(self) -> None:
        """Close the connections to Redis; a later query opens new ones."""
        if self._shared is not None:
            await self._shared.close()

    async def _query(self, query: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T:
        if self._shared is None:
            return await query(self._memory)
        return await self._shared.query(query, self._memory)


def make_tally(limit: RateLimitItem, *of: str) -> Tally:
    """Return the tally of these texts, whose key is a digest."""
    text = repr((limit.namespace, *of))
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return Tally(limit, digest[:_DIGEST_CHARACTERS])


def list_networks(limit: RateLimitItem, of_customer: RateLimitItem, address: str) -> list[Tally]:
    """Return the tallies of an address and of its customer's network."""
    site, customer = find_client_network(address), find_customer_network(address)
    tallies = [make_tally(limit, site)]
    return tallies if customer == site else [*tallies, make_tally(of_customer, customer)]


def count_seconds(end: float, limit: RateLimitItem) -> int:
    """Return the whole seconds until a window ends, at least 1."""
    # Redis rounds to whole seconds: half a second more is never too early.
    seconds = math.ceil(end - time.time() + 0.5)
    return max(1, min(seconds, limit.get_expiry()))
