"""Checks of pooled connections, because load balancers drop idle ones silently."""

import asyncio
import time
from typing import Protocol
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import Pool

from ordergate.adapters.sql.server.connection import ServerConnection

MAX_AGE_SECONDS = 3_600.0
"""The maximum age of a connection, after which names and roles are resolved again."""


class _Adapted(Protocol):
    """SQLAlchemy's wrapper of a connection."""

    driver_connection: ServerConnection


class ConnectionLimits:
    """Replaces a connection that is closed, too old or long idle.

    It compares times on checkout and sends nothing, so a checkout costs no round trip.
    """

    def __init__(self, pool: Pool, *, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._silence_at = float("-inf")
        self._connections: WeakSet[ServerConnection] = WeakSet()
        self._retired: set[asyncio.Task[None]] = set()
        event.listen(pool, "connect", self._on_connect)
        event.listen(pool, "checkin", self._on_checkin)
        event.listen(pool, "checkout", self._on_checkout)
        event.listen(pool, "invalidate", self._on_invalidate)

    def note_silence(self) -> None:
        """Stop using all currently idle connections, because one of them is silent."""
        self._silence_at = time.monotonic()

    async def close(self) -> None:
        """Close all connections in parallel, because silent ones do not answer."""
        await asyncio.gather(*self._retired, *(each.disconnect() for each in self._connections))

    def _on_connect(self, connection: _Adapted, _: object) -> None:
        self._connections.add(connection.driver_connection)

    def _on_invalidate(self, connection: _Adapted, _: object, error: object) -> None:
        # SQLAlchemy would wait for the answer to the termination. The driver needs that time to
        # cancel a COMMIT that waits for a standby; otherwise its session would stay.
        driver = connection.driver_connection
        if isinstance(error, TimeoutError) and not driver.committing:
            driver.terminate()

    def _on_checkin(self, connection: _Adapted | None, _: object) -> None:
        if connection is not None:  # else it was invalidated
            connection.driver_connection.idle_since = time.monotonic()

    def _on_checkout(self, connection: _Adapted, _: object, __: object) -> None:
        driver = connection.driver_connection
        if driver.idle_since is None:
            return
        now = time.monotonic()
        if (
            now - driver.idle_since > self._idle_seconds
            or driver.idle_since <= self._silence_at
            or now - driver.opened_at > MAX_AGE_SECONDS
            or driver.is_closed()
        ):
            termination = asyncio.get_running_loop().create_task(driver.disconnect())
            self._retired.add(termination)
            termination.add_done_callback(self._retired.discard)
            raise DisconnectionError
