"""Reads at a hot standby, which may lag behind its primary."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from sqlalchemy import Connection, Select, Text, func, select
from sqlalchemy import cast as cast_to
from typing_extensions import override

from ordergate.adapters.sql.database import CheckedReader, Database, Rows, T, Values
from ordergate.adapters.sql.postgres.connecting.connection import PostgresConnection
from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.postgres.statement import PostgresStatement
from ordergate.adapters.sql.repositories.secret import SECRET, find_secret
from ordergate.application.consistency import CURRENT
from ordergate.application.errors import StorageUnavailable

_STATE = select(
    SECRET.scalar_subquery(),
    func.pg_is_in_recovery(),
    cast_to(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text),
)
_NO_STANDBY = "PostgreSQL: the server is no standby of the primary"

_SECONDS = 1.0
"""The time limit of a read at the standby, after which the primary is read."""

_PAUSE_SECONDS = 5.0
"""How long a standby that failed is left, before one read tries it."""

_log = logging.getLogger("ordergate.database")


class _BehindError(Exception):
    """The standby has not the writes that a read needs."""


class PostgresStandby(PostgresDatabase):
    """A hot standby of the database with this secret.

    Each connection knows how far its server is, so most reads are one round trip. Another server
    than a standby of the same database is `StorageUnavailable`.
    """

    secret: bytes | None = None

    @override
    async def read(
        self, work: Callable[[Connection], T], *, large: bool = False, shared: bool = False
    ) -> T:
        """Run a statement where the standby has what the request needs."""
        needed = _get_needed()

        def checked(connection: Connection) -> T:
            driver = _get_driver(connection)
            if driver.is_complete_before <= needed:
                self._note_state(driver, needed, *connection.execute(_STATE).one())
            return work(connection)

        return await super().read(checked, large=large, shared=shared)

    @override
    async def _run_reading(
        self, statement: PostgresStatement, connection: PostgresConnection, *, values: Values
    ) -> Rows:
        needed = _get_needed()
        if connection.is_complete_before <= needed:
            (state,) = await self._compile(_STATE).run(connection, {})
            self._note_state(connection, needed, *state)
        return await statement.run(connection, values)

    def _note_state(
        self,
        connection: PostgresConnection,
        needed: int,
        secret: bytes | None,
        is_standby: bool,  # noqa: FBT001 - a column of a row
        xmin: str,
    ) -> None:
        if secret != self.secret or not is_standby:
            raise StorageUnavailable(_NO_STANDBY)
        connection.is_complete_before = int(xmin)
        if connection.is_complete_before <= needed:
            raise _BehindError


class StandbyReads(CheckedReader):
    """Reads from a standby where a request permits it.

    A standby that is behind, or that does not answer within a second, is no error: the primary is
    read. One that failed is left for some seconds, and the log says so.
    """

    def __init__(self, primary: Database, standby: PostgresStandby) -> None:
        self._primary = primary
        self._standby = standby
        self._next_try: float | None = None

    async def rows(self, query: Select[Any], values: Values) -> Rows:
        """Return the rows of a query."""
        return await self._read(lambda database: database.rows(query, values))

    async def read(
        self, work: Callable[[Connection], T], *, large: bool = False, shared: bool = False
    ) -> T:
        """Run one reading statement."""
        return await self._read(lambda database: database.read(work, large=large, shared=shared))

    async def time_copy(self) -> float:
        """Read at the standby, again on the same connection."""
        await self._prepare()
        await self._standby.rows(SECRET, {})
        began = time.perf_counter()
        await self._standby.rows(SECRET, {})
        return time.perf_counter() - began

    async def close(self) -> None:
        """Close the connections to the standby."""
        await self._standby.close()

    async def _read(self, read: Callable[[Database], Awaitable[T]]) -> T:
        consistency = CURRENT.get()
        if consistency and consistency.needed is not None and self._may_try():
            await self._prepare()
            try:
                async with asyncio.timeout(_SECONDS):
                    found = await read(self._standby)
            except _BehindError:
                self._note_success()
            except TimeoutError:
                self._leave("no answer in time")
            except StorageUnavailable as error:
                self._leave(str(error))
            else:
                self._note_success()
                return found
        return await read(self._primary)

    async def _prepare(self) -> None:
        if self._standby.secret is None:
            self._standby.secret = await find_secret(self._primary)

    def _may_try(self) -> bool:
        if self._next_try is None:
            return True
        now = time.monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + _PAUSE_SECONDS  # for the others; this one tries
        return True

    def _leave(self, reason: str) -> None:
        if self._next_try is None:
            _log.warning("read_database_left", extra={"reason": reason})
        self._next_try = time.monotonic() + _PAUSE_SECONDS

    def _note_success(self) -> None:
        if self._next_try is not None:
            self._next_try = None
            _log.info("read_database_used_again")


def _get_needed() -> int:
    consistency = CURRENT.get()
    return (consistency and consistency.needed) or 0


def _get_driver(connection: Connection) -> PostgresConnection:
    return cast("PostgresConnection", connection.connection.driver_connection)
