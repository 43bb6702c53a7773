"""Failed sign-ins, counted with the `limits` library in memory or in a Redis that all share."""

import asyncio
import hashlib
import logging
import math
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from ordergate.adapters.throttling.counters_in_memory import CountersInMemory
from ordergate.application.errors import Throttled
from ordergate.application.ports.passwords import Attempt, Throttle
from ordergate.domain.address import client_network, customer_network
from ordergate.domain.user import throttle_key

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

T = TypeVar("T")

_REDIS_SECONDS = 1.0
"""How long Redis may take to answer, and how long it is left alone after it did not."""
_SLOW_SECONDS = 0.5
"""How long an answer may take that does not make Redis be left alone."""
_WARNING_SECONDS = 60.0
_PROBE = RateLimitItemPerSecond(1, 1, "probe")
"""A counter of nothing, to see whether Redis takes writes."""
_NO_NUMBER = ("WRONGTYPE", "value is not an integer", "would overflow")
_DIGEST_CHARACTERS = 32
_FOR_A_CUSTOMER = 10
"""How many times the limit of an address the network of a customer has."""

_log = logging.getLogger("ordergate.throttle")


class _Tally(NamedTuple):
    """The failures of one account, of one address, or of an account from an address."""

    limit: RateLimitItem
    key: str


class LimitsThrottle(Throttle):
    """Shuts an account, and an address, at so many failures in a window of `window_seconds`.

    A window begins with its first failure. `per_account` also is the number of failures of one
    account from one address, and `per_address` that of accounts opened from an address. IPv6
    addresses count by their /64, and ten times as many shut a /48; what is no IP address is
    counted as it is written.

    `url` names a Redis, as in `redis://name:password@host:6379/0` (`rediss`: with TLS; `valkey` and
    `valkeys` are the same). It keeps digests, and neither names nor addresses. While it does not
    answer, and without one, each process counts in its own memory, to the same numbers. Guesses
    under way are counted in each process by itself.
    """

    def __init__(
        self, *, per_account: int, per_address: int, window_seconds: int, url: str | None = None
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
        self._pool = _pool(url) if url else None
        self._redis = _counters(self._pool) if self._pool else None
        self._lost = False
        self._left_alone_until = 0.0
        self._next_counter_warning = 0.0

    @asynccontextmanager
    async def attempt(
        self, username: str, address: str, *, familiar: bool
    ) -> AsyncIterator[Attempt]:
        """Guard one guess; up to ten short questions to Redis, each answered within 1 s."""
        name = throttle_key(username)
        account = _tally(self._account, name)
        at_address = _networks(self._address, self._customer, address)
        pair = _tally(self._pair, name, client_network(address))
        attempt = Attempt()
        with self._entered(account, *at_address, pair) as ahead:
            asked = (pair,) if familiar else (account, *at_address)
            if seconds := max([await self._wait(tally, ahead[tally]) for tally in asked]):
                raise Throttled(retry_after=seconds)
            try:
                yield attempt
            finally:
                # Still under way while it is written down, so that nobody slips in between.
                if attempt.matched:
                    await self._ask(lambda counters: counters.clear(*pair))
                elif attempt.matched is not None:
                    for tally in (account, *at_address, pair):
                        await self._count(tally)

    async def count_sign_up(self, address: str) -> None:
        """Count in one step for each network of the address."""
        for tally in _networks(self._sign_ups, self._sign_ups_of_customer, address):
            if not await self._count(tally):
                raise Throttled(retry_after=await self._wait(tally, 0) or 1)

    async def close(self) -> None:
        """Let the connections to Redis go; a later guess opens new ones."""
        if self._pool is not None:
            await self._pool.disconnect()

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
        """Ask Redis, or this process's memory where there is none that answers.

        Whatever Redis does, no sign-in fails for it, and the limits hold in this process. After
        an answer that is missing or slow it is left alone for a second: a sign-in waits 1 s for one
        and less than 0.5 s for each other. Then it is used again once it takes a write: one that is
        full, or a replica, answers reads, and by them alone the limits would never be reached.
        """
        if self._redis is None or time.monotonic() < self._left_alone_until:
            return await question(self._memory)
        if self._lost:  # one guess tries, and the others do not wait for it
            self._left_alone_until = time.monotonic() + _REDIS_SECONDS
        began = time.monotonic()
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                if self._lost:
                    await self._redis.hit(_PROBE)
                answer = await question(self._redis)
        except Exception as raised:  # noqa: BLE001 - it may answer with anything, in any protocol
            error = raised.storage_error if isinstance(raised, StorageError) else raised
            is_slow = time.monotonic() - began > _SLOW_SECONDS
            if _is_about_one_counter(error) and not is_slow:
                self._warn_of_counter(error)
            else:
                # The kind alone: a message may repeat parts of the URL.
                self._leave_alone(type(error).__name__)
            return await question(self._memory)
        if time.monotonic() - began > _SLOW_SECONDS:
            self._leave_alone("SlowAnswer")
        elif self._lost:
            self._lost, self._left_alone_until = False, 0.0
            _log.info("throttle_counts_with_others")
        return answer

    def _leave_alone(self, reason: str) -> None:
        self._left_alone_until = time.monotonic() + _REDIS_SECONDS
        if not self._lost:
            self._lost = True
            _log.warning("throttle_counts_alone", extra={"error": reason})

    def _warn_of_counter(self, error: Exception) -> None:
        """Warn once a minute: guesses at one account ask for the same counter each time."""
        if time.monotonic() >= self._next_counter_warning:
            self._next_counter_warning = time.monotonic() + _WARNING_SECONDS
            _log.warning("throttle_counter_unusable", extra={"error": type(error).__name__})


def _networks(limit: RateLimitItem, of_customer: RateLimitItem, address: str) -> list[_Tally]:
    """Return the counter of an address, and of IPv6 that of its customer's network."""
    site, customer = client_network(address), customer_network(address)
    tallies = [_tally(limit, site)]
    return tallies if customer == site else [*tallies, _tally(of_customer, customer)]


def _is_about_one_counter(error: Exception) -> bool:
    """Say whether Redis answers, and what it keeps under the key is no number (`limits` reads)."""
    return isinstance(error, ValueError) or any(words in str(error) for words in _NO_NUMBER)


def _pool(url: str) -> "ConnectionPool":
    from redis import asyncio, backoff  # noqa: PLC0415 - who counts in memory has no need

    return asyncio.ConnectionPool.from_url(
        re.sub(r"\Avalkey", "redis", url),
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
        # By default it tries for many seconds, while somebody waits to sign in.
        retry=asyncio.retry.Retry(backoff.NoBackoff(), 0),
    )


def _counters(pool: "ConnectionPool") -> FixedWindowRateLimiter:
    storage = RedisStorage(
        "redis://",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="ordergate",
        connection_pool=pool,  # type: ignore[arg-type] # handed on as it is
    )
    return FixedWindowRateLimiter(storage)


def _tally(limit: RateLimitItem, *of: str) -> _Tally:
    text = repr((limit.namespace, *of))
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return _Tally(limit, digest[:_DIGEST_CHARACTERS])
