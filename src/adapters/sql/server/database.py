"""A database on a SQL server, with a pool of connections."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NotRequired, cast

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from typing_extensions import TypedDict, override

from ordergate.adapters.sql.database import Database, Rows, T
from ordergate.adapters.sql.server.attempts import Attempts
from ordergate.adapters.sql.server.errors import DriverErrors
from ordergate.adapters.sql.server.pool import ConnectionLimits
from ordergate.adapters.sql.server.round_trips import RoundTrips
from ordergate.adapters.sql.server.transaction import run_transaction, run_work, write_by_driver
from ordergate.adapters.sql.statement_spans import trace_statements
from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.storage import ConnectionLoad, ServerWork

_FOR_SHARED_READS = 1
"""Extra connections for shared reads when the pool is exhausted."""

_KEPT_FOR_READS = 2
"""Connections that writes never take, so writes that wait for a row block no reads."""


class ServerLimits(TypedDict):
    """The limits of connections and statements; the database describes them."""

    pool_size: int
    pool_seconds: float
    statement_seconds: float
    idle_seconds: NotRequired[float]


class ServerDatabase(Database):
    """A database at the first usable host of its URL.

    A read is one statement outside any transaction: one round trip. A write is a transaction at
    READ COMMITTED. It is repeated as a whole after a conflict, or a connection lost before COMMIT,
    up to `MAX_ATTEMPTS` times and within the time of a statement. After a connection lost during
    COMMIT, only repeatable jobs are repeated; other jobs are `OutcomeUnknown`.

    When all connections are in use, a shared read opens one more and closes it.

    A connection that was idle for more than `idle_seconds` is not used again. A job whose pooled
    connection does not answer in time is repeated once on a new connection.

    `StorageUnavailable` quotes no value, no statement and no password.

    `make_engine` receives the arguments of the pool. `trips_of_a_commit` are those of `RoundTrips`.
    """

    trips_of_a_commit = 1

    def __init__(
        self,
        make_engine: Callable[..., AsyncEngine],
        errors: DriverErrors,
        *,
        pool_size: int,
        pool_seconds: float,
        statement_seconds: float,
        idle_seconds: float = 60.0,
    ) -> None:
        self._errors = errors
        self._all_in_use = errors.describe(PoolTimeoutError())
        self._engine = make_engine(
            pool_size=pool_size,
            max_overflow=_FOR_SHARED_READS,
            pool_timeout=pool_seconds,
            pool_use_lifo=True,  # or a few requests would keep every connection half idle
        )
        self._reads = self._writes = self._engine
        self._round_trips = RoundTrips(self._engine, of_a_commit=self.trips_of_a_commit)
        self._limits = ConnectionLimits(self._engine.pool, idle_seconds=idle_seconds)
        self._pool_seconds, self._pool_size = pool_seconds, pool_size
        self._waiting = Counter[asyncio.Semaphore]()
        self._not_shared = asyncio.Semaphore(pool_size)
        self._not_reading = asyncio.Semaphore(max(1, pool_size - _KEPT_FOR_READS))
        self._attempts = Attempts(
            errors, statement_seconds=statement_seconds, on_silence=self._limits.note_silence
        )

    @override
    async def read(
        self, work: Callable[[Connection], T], *, large: bool = False, shared: bool = False
    ) -> T:
        """Run one statement, again after a lost connection."""

        async def once() -> T:
            async with self._reads.connect() as connection:
                return await run_work(connection, work, self._errors)

        trace_statements(self._engine.sync_engine)
        if shared:
            return await self._attempts.run(once)
        async with self._wait_for_room(self._not_shared, self._all_in_use):
            return await self._attempts.run(once)

    async def write(self, work: Callable[[Connection], T], *, repeatable: bool = False) -> T:
        """Run a transaction; the job locks the rows that decide."""
        return await self._write(
            lambda: run_transaction(self._writes, work, self._errors), repeatable=repeatable
        )

    async def _write_by_statement(
        self,
        run: Callable[[Any], Awaitable[Rows]],
        read: Callable[[Rows], T],
        otherwise: Callable[[Connection], T],
        *,
        repeatable: bool = False,
    ) -> T:
        """Run a statement of the driver that commits itself.

        If it returns nothing, or violates a constraint, the transaction `otherwise` decides.
        """

        async def once() -> T:
            # A violated constraint may be that of an earlier attempt, which the transaction finds.
            with suppress(IntegrityError):
                self._round_trips.note()
                if rows := await write_by_driver(self._engine, run, self._errors):
                    return read(rows)
            return await run_transaction(self._writes, otherwise, self._errors)

        return await self._write(once, repeatable=repeatable)

    async def _write(self, once: Callable[[], Awaitable[T]], *, repeatable: bool) -> T:
        trace_statements(self._engine.sync_engine)
        async with (
            self._wait_for_room(self._not_reading, "too many writes are waiting"),
            self._wait_for_room(self._not_shared, self._all_in_use),
        ):
            return await self._attempts.run(once, repeatable=repeatable)

    @asynccontextmanager
    async def _wait_for_room(self, turns: asyncio.Semaphore, refusal: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it.

        Waits as long as for a connection.
        """
        try:
            if turns.locked():
                self._waiting[turns] += 1
                try:
                    async with asyncio.timeout(self._pool_seconds):
                        await turns.acquire()
                finally:
                    self._waiting[turns] -= 1
            else:
                await turns.acquire()
        except TimeoutError:
            raise StorageUnavailable(f"{self._errors.server}: {refusal}") from None
        try:
            yield
        finally:
            turns.release()

    @override
    def count_connections(self) -> ConnectionLoad:
        """Count those of the pool; a shared read may use one more."""
        pool = cast("QueuePool", self._engine.pool)
        waiting, writes = self._waiting[self._not_shared], self._waiting[self._not_reading]
        return ConnectionLoad(self._pool_size, pool.checkedout(), waiting, writes)

    @override
    def count_work(self) -> ServerWork:
        """Count round trips from the first call on, and repetitions."""
        return ServerWork(self._round_trips.count(), self._attempts.repetitions)

    async def exists(self) -> bool:
        """Return true: an unreachable database is reported by the first read."""
        return True

    async def check(self) -> None:
        """Do nothing: a replaced server has closed its connections."""

    async def close(self) -> None:
        """Finish running jobs and close every connection."""
        await self._attempts.wait_until_idle()
        await self._limits.close()
        await self._engine.dispose()
