"""A PostgreSQL database, opened for one process with a pool of connections."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from sqlalchemy import Connection, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from typing_extensions import override

from ordergate.adapters.sql.database import Database, T
from ordergate.adapters.sql.postgres.attempts import Attempts
from ordergate.adapters.sql.postgres.connecting.connection import PostgresConnection
from ordergate.adapters.sql.postgres.connecting.hosts import Hosts
from ordergate.adapters.sql.postgres.connecting.session_settings import LIMITS
from ordergate.adapters.sql.postgres.connecting.url import DatabaseUrl
from ordergate.adapters.sql.postgres.errors import describe
from ordergate.adapters.sql.postgres.pool import ConnectionLimits
from ordergate.adapters.sql.postgres.transaction import run_transaction, run_work
from ordergate.application.errors import StorageUnavailable

_FOR_SHARED_READS = 1
"""Extra connections for shared reads when the pool is exhausted."""

_KEPT_FOR_READS = 2
"""Connections that writes never take, so writes that wait for a row block no reads."""

_MIGRATION_LOCK = 0x6F72646572  # "order": one lock of the database's advisory ones

_ALL_IN_USE = describe(PoolTimeoutError())

_ONE_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

_STATEMENT = text("SELECT 1")
_POOLER_SECONDS = 1.0
"""How long a pooler may take for a statement at another of its connections."""

_WAIT_FOR_STANDBYS = text(
    "SELECT CASE WHEN current_setting('synchronous_standby_names') <> ''"
    " THEN pg_logical_emit_message(true, 'ordergate', '') END"
)
"""Write a log message, because a COMMIT without writes does not wait for standbys.

The COMMIT waits until the standbys have the log up to this message, and so all earlier commits.
"""

_log = logging.getLogger("ordergate.database")


class PostgresDatabase(Database):
    """A PostgreSQL database, at the first usable host of its URL.

    The URL must be valid.

    A read is one statement outside any transaction: one round trip. A write is a transaction at
    READ COMMITTED. It is repeated as a whole after a serialization failure, a deadlock or a
    connection lost before COMMIT, up to `MAX_ATTEMPTS` times and within the time of a statement.
    After a connection lost during COMMIT, only repeatable jobs are repeated; other jobs are
    `OutcomeUnknown`. So is a COMMIT that stopped waiting for a synchronous standby.

    When all connections are in use, a shared read opens one more and closes it.

    A connection that was idle for more than `idle_seconds` is not used again. A job whose pooled
    connection does not answer in time is repeated once on a new connection.

    Without `sends_settings`, a connection has the settings of its role, which are checked, and a
    pooler is asked at the start whether it keeps prepared statements.

    `StorageUnavailable` quotes no value, no statement and no password.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        pool_seconds: float,
        statement_seconds: float,
        idle_seconds: float = 60.0,
        sends_settings: bool = True,
    ) -> None:
        address = DatabaseUrl.read(url)
        if ignored := address.parameters.ignored:
            _log.warning("database_parameters_ignored", extra={"parameters": ", ".join(ignored)})
        self._sends_settings = sends_settings
        self._hosts = Hosts(
            address, statement_seconds=statement_seconds, sends_settings=sends_settings
        )
        self._engine = _create_engine(
            self._hosts.connect,
            pool_size=pool_size,
            max_overflow=_FOR_SHARED_READS,
            pool_timeout=pool_seconds,
            pool_use_lifo=True,  # or a few requests would keep every connection half idle
        )
        self._limits = ConnectionLimits(self._engine.pool, idle_seconds=idle_seconds)
        self._pool_seconds = pool_seconds
        self._not_shared = asyncio.Semaphore(pool_size)
        self._writes = asyncio.Semaphore(max(1, pool_size - _KEPT_FOR_READS))
        self._reads = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._attempts = Attempts(
            statement_seconds=statement_seconds, on_silence=self._limits.note_silence
        )

    @override
    async def read(
        self, work: Callable[[Connection], T], *, large: bool = False, shared: bool = False
    ) -> T:
        """Run one statement, again after a lost connection."""

        async def once() -> T:
            async with self._reads.connect() as connection:
                return await run_work(connection, work)

        if shared:
            return await self._attempts.run(once)
        async with self._turn(self._not_shared, _ALL_IN_USE):
            return await self._attempts.run(once)

    async def write(self, work: Callable[[Connection], T], *, repeatable: bool = False) -> T:
        """Run a transaction; the job locks the rows that decide."""
        async with (
            self._turn(self._writes, "too many writes are waiting"),
            self._turn(self._not_shared, _ALL_IN_USE),
        ):
            return await self._attempts.run(
                lambda: run_transaction(self._engine, work), repeatable=repeatable
            )

    @asynccontextmanager
    async def _turn(self, turns: asyncio.Semaphore, refusal: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it.

        Waits as long as for a connection.
        """
        try:
            if turns.locked():
                async with asyncio.timeout(self._pool_seconds):
                    await turns.acquire()
            else:
                await turns.acquire()
        except TimeoutError:
            raise StorageUnavailable(f"PostgreSQL: {refusal}") from None
        try:
            yield
        finally:
            turns.release()

    async def confirmed(self, work: Callable[[Connection], T | None]) -> T | None:
        """Read, and commit a message that waits for synchronous standbys, if any.

        Another transaction's rows may be visible although its COMMIT was never confirmed, because
        its session was ended during the wait.
        """

        def wait(connection: Connection) -> T | None:
            found = work(connection)
            if found is not None:
                connection.execute(_WAIT_FOR_STANDBYS)
            return found

        return await self.write(wait, repeatable=True)

    async def examine(self, work: Callable[[Connection], T]) -> T:
        """Read in one transaction, so all statements see one snapshot."""
        if not self._sends_settings:
            await self._attempts.run(self._move_statement)

        def in_one_snapshot(connection: Connection) -> T:
            connection.execute(_ONE_SNAPSHOT)
            return work(connection)

        return await self.write(in_one_snapshot, repeatable=True)

    async def _move_statement(self) -> None:
        """Run a prepared statement at another connection of a pooler than before.

        A pooler in transaction mode has only this transaction's connection otherwise. One that has
        no other is not tried.
        """
        async with self._reads.connect() as first, self._engine.connect() as second:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POOLER_SECONDS):
                    for connection in (first, second, first):
                        await connection.execute(_STATEMENT)

    async def migrate(self, work: Callable[[Connection], None]) -> None:
        """Run the job under an advisory lock, without a time limit."""

        def alone(connection: Connection) -> None:
            for limit in LIMITS:  # a role may have its own
                connection.execute(text(f"SET LOCAL {limit} = 0"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            work(connection)

        engine = _create_engine(self._hosts.connect_without_time_limit, poolclass=NullPool)
        await self._attempts.run(lambda: run_transaction(engine, alone))

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


def _create_engine(
    connect: Callable[[], Awaitable[PostgresConnection]], **pool: object
) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, hide_parameters=True, **pool
    )
