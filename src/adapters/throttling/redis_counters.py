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
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import TimeoutError as NoAnswerError

from ordergate.adapters.throttling.counting import SharedCounters

T = TypeVar("T")

_REDIS_SECONDS = 1.0
"""The time limit of a query, and the pause after a missed one."""
_SLOW_SECONDS = 0.5
"""The longest time of an answer that causes no pause."""
_WARNING_SECONDS = 60.0
_MAX_CONNECTIONS = 32
"""Further queries wait; the other pool of redis-py fails them."""
_PROBE = RateLimitItemPerSecond(1, 1, "probe")
"""An unused counter that tests whether Redis accepts writes."""
_ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (AuthenticationError, "it refuses the account or the password"),
    (AuthorizationError, "it refuses the account"),
    (TimeoutError, f"no answer within {_REDIS_SECONDS:g} s"),
    (NoAnswerError, f"no answer within {_REDIS_SECONDS:g} s"),
    (NoConnectionError, "no connection"),
)
_NO_NUMBER = ("WRONGTYPE", "value is not an integer", "would overflow")

_log = logging.getLogger("ordergate.throttle")


class RedisCounters(SharedCounters):
    """Queries a Redis, or the process's memory while Redis is unavailable.

    `url` has the form `redis://name:password@host:6379/0` (`rediss`: with TLS; `valkey` and
    `valkeys` are the same).
    """

    def __init__(self, url: str) -> None:
        self._pool = _make_pool(url)
        self._redis = _make_limiter(self._pool)
        self._lost = False
        self._left_alone_until = 0.0
        self._next_counter_warning = 0.0

    async def query(
        self,
        query: Callable[[FixedWindowRateLimiter], Awaitable[T]],
        memory: FixedWindowRateLimiter,
    ) -> T:
        """Query Redis, or the process's memory while Redis is unavailable.

        No failure of Redis fails a sign-in or disables the limits of this process. After a missing
        or slow answer, Redis is skipped for a second: a sign-in waits at most 1 s for a missing
        answer and 0.5 s for others. Then it is used again after a successful write, because a full
        Redis, or a replica, answers reads only, and reads alone never reach the limits.
        """
        if time.monotonic() < self._left_alone_until:
            return await query(memory)
        if self._lost:  # one guess tries Redis; the others do not wait for it
            self._left_alone_until = time.monotonic() + _REDIS_SECONDS
        began = time.monotonic()
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                if self._lost:
                    await self._redis.hit(_PROBE)
                answer = await query(self._redis)
        except Exception as raised:  # noqa: BLE001 - it may answer with anything, in any protocol
            error = raised.storage_error if isinstance(raised, StorageError) else raised
            is_slow = time.monotonic() - began > _SLOW_SECONDS
            if _is_about_one_counter(error) and not is_slow:
                self._warn_of_counter(error)
            else:
                # The type only, because a message may repeat parts of the URL.
                self._leave_alone(type(error).__name__)
            return await query(memory)
        if time.monotonic() - began > _SLOW_SECONDS:
            self._leave_alone("SlowAnswer")
        elif self._lost:
            self._lost, self._left_alone_until = False, 0.0
            _log.info("throttle_counts_with_others")
        return answer

    async def find_error(self) -> str | None:
        """Return why Redis does not answer a PING, or `None`.

        The text has no part of the URL.
        """
        try:
            async with asyncio.timeout(_REDIS_SECONDS), Redis(connection_pool=self._pool) as client:
                await client.ping()
        except (RedisError, OSError, ValueError) as error:
            return next(
                (words for kind, words in _ERRORS if isinstance(error, kind)), type(error).__name__
            )
        return None

    async def close(self) -> None:
        """Close the connections; a later query opens new ones."""
        await self._pool.disconnect()

    def _leave_alone(self, reason: str) -> None:
        self._left_alone_until = time.monotonic() + _REDIS_SECONDS
        if not self._lost:
            self._lost = True
            _log.warning("throttle_counts_alone", extra={"error": reason})

    def _warn_of_counter(self, error: Exception) -> None:
        """Warn once a minute, because guesses at one account query one counter."""
        if time.monotonic() >= self._next_counter_warning:
            self._next_counter_warning = time.monotonic() + _WARNING_SECONDS
            _log.warning("throttle_counter_unusable", extra={"error": type(error).__name__})


def _is_about_one_counter(error: Exception) -> bool:
    """Report whether Redis answers but stores no number under the key."""
    return isinstance(error, ValueError) or any(words in str(error) for words in _NO_NUMBER)


def _make_pool(url: str) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        re.sub(r"\Avalkey", "redis", url),
        max_connections=_MAX_CONNECTIONS,
        timeout=_REDIS_SECONDS,
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
        # The default retries for many seconds, during which a sign-in waits.
        retry=Retry(NoBackoff(), 0),
    )


def _make_limiter(pool: BlockingConnectionPool) -> FixedWindowRateLimiter:
    options: dict[str, Any] = {"connection_pool": pool}
    storage = RedisStorage(
        "redis://",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="ordergate",
        **options,
    )
    return FixedWindowRateLimiter(storage)
