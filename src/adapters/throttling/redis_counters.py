"""Counters in a Redis that workers and hosts share."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ordergate.adapters.throttling.limits_throttle import SharedCounters

T = TypeVar("T")

_REDIS_SECONDS = 1.0
"""How long Redis may take to answer, and how long it is left alone after it did not."""
_SLOW_SECONDS = 0.5
"""How long an answer may take that does not make Redis be left alone."""
_WARNING_SECONDS = 60.0
_PROBE = RateLimitItemPerSecond(1, 1, "probe")
"""A counter of nothing, to see whether Redis takes writes."""
_NO_NUMBER = ("WRONGTYPE", "value is not an integer", "would overflow")

_log = logging.getLogger("ordergate.throttle")


class RedisCounters(SharedCounters):
    """Asks a Redis, or the memory of this process while Redis does not answer.

    `url` is as in `redis://name:password@host:6379/0` (`rediss`: with TLS; `valkey` and `valkeys`
    are the same).
    """

    def __init__(self, url: str) -> None:
        self._pool = _pool(url)
        self._redis = _limiter(self._pool)
        self._lost = False
        self._left_alone_until = 0.0
        self._next_counter_warning = 0.0

    async def ask(
        self,
        question: Callable[[FixedWindowRateLimiter], Awaitable[T]],
        memory: FixedWindowRateLimiter,
    ) -> T:
        """Ask Redis, or this process's memory where there is none that answers.

        Whatever Redis does, no sign-in fails for it, and the limits hold in this process. After
        an answer that is missing or slow it is left alone for a second: a sign-in waits 1 s for one
        and less than 0.5 s for each other. Then it is used again once it takes a write: one that is
        full, or a replica, answers reads, and by them alone the limits would never be reached.
        """
        if time.monotonic() < self._left_alone_until:
            return await question(memory)
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
            return await question(memory)
        if time.monotonic() - began > _SLOW_SECONDS:
            self._leave_alone("SlowAnswer")
        elif self._lost:
            self._lost, self._left_alone_until = False, 0.0
            _log.info("throttle_counts_with_others")
        return answer

    async def close(self) -> None:
        """Close the connections; a later question opens new ones."""
        await self._pool.disconnect()

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


def _is_about_one_counter(error: Exception) -> bool:
    """Say whether Redis answers, and what it keeps under the key is no number (`limits` reads)."""
    return isinstance(error, ValueError) or any(words in str(error) for words in _NO_NUMBER)


def _pool(url: str) -> ConnectionPool:
    return ConnectionPool.from_url(
        re.sub(r"\Avalkey", "redis", url),
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
        # By default it tries for many seconds, while somebody waits to sign in.
        retry=Retry(NoBackoff(), 0),
    )


def _limiter(pool: ConnectionPool) -> FixedWindowRateLimiter:
    options: dict[str, Any] = {"connection_pool": pool}
    storage = RedisStorage(
        "redis://",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="ordergate",
        **options,
    )
    return FixedWindowRateLimiter(storage)
