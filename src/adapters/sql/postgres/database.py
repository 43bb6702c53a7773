"""PostgreSQL, opened for one process: a pool of connections that the event loop waits for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ordergate.adapters.sql.database import Database, T
from ordergate.adapters.sql.postgres.attempts import Attempts
from ordergate.adapters.sql.postgres.connection import PostgresConnection
from ordergate.adapters.sql.postgres.errors import describe
from ordergate.adapters.sql.postgres.hosts import Hosts
from ordergate.adapters.sql.postgres.pool import ConnectionLimits
from ordergate.adapters.sql.postgres.transaction import run_transaction, run_work
from ordergate.application.errors import StorageUnavailable

_FOR_SHARED_READS = 1
"""Connections beyond the pool that are opened for shared reads when all of the pool are in use."""

_KEPT_FOR_READS = 2
"""Connections that writes never take, so writes that wait for a row block no reads."""

_MIGRATION_LOCK = 0x6F72646572  # "order": one lock of the database's advisory ones

_ALL_IN_USE = describe(PoolTimeoutError())

_ONE_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

_WAIT_FOR_STANDBYS = text(
    "SELECT CASE WHEN current_setting('synchronous_standby_names') <> ''"
    " THEN pg_logical_emit_message(true, 'ordergate', '') END"
)
"""Write something to the log, since a COMMIT waits for standbys only after that.

It waits until they have the log up to itself, and so all that was committed before.
"""


class PostgresDatabase(Database):
    """One PostgreSQL database, at the first of the URL's hosts that is fit to use.

    A read is one statement outside any transaction: one trip to the server. A write is a
    transaction at READ COMMITTED. It is repeated as a whole after a serialization failure, a
    deadlock or a connection lost before COMMIT, up to `MAX_ATTEMPTS` times and as long as a
    statement may take. After a connection lost during COMMIT, only repeatable work is repeated;
    other work is `OutcomeUnknown`. So is a COMMIT that stopped waiting for a synchronous standby.

    When all connections are in use, a shared read opens one more and closes it.

    A connection that was idle for more than `idle_seconds` is not used again. Work for which one
    of the pool does not answer in time is repeated once, on a new connection.

    What is raised as `StorageUnavailable` quotes no value, no statement and no password.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        pool_seconds: float,
        statement_seconds: float,
        idle_seconds: float = 60.0,
    ) -> None:
        self._hosts = Hosts(url, statement_seconds=statement_seconds)
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

    async def read(
        self,
        work: Callable[[Connection], T],
        *,
        large: bool = False,  # noqa: ARG002 - the server is what reads
        shared: bool = False,
    ) -> T:
        """Run one statement, again if the connection is lost."""

        async def once() -> T:
            async with self._reads.connect() as connection:
                return await run_work(connection, work)

        if shared:
            return await self._attempts.run(once)
        async with self._turn(self._not_shared, _ALL_IN_USE):
            return await self._attempts.run(once)

    async def write(self, work: Callable[[Connection], T], *, repeatable: bool = False) -> T:
        """Run a transaction; the work decides by the rows it locks, and waits for those."""
        async with (
            self._turn(self._writes, "too many writes are waiting"),
            self._turn(self._not_shared, _ALL_IN_USE),
        ):
            return await self._attempts.run(
                lambda: run_transaction(self._engine, work), repeatable=repeatable
            )

    @asynccontextmanager
    async def _turn(self, turns: asyncio.Semaphore, refusal: str) -> AsyncIterator[None]:
        """Hold a turn, and wait for one as long as for a connection."""
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
        """Read, and commit what makes COMMIT wait for the synchronous standbys, if there are any.

        What another transaction committed may be visible though its COMMIT was never confirmed:
        its session was ended while it waited.
        """

        def wait(connection: Connection) -> T | None:
            found = work(connection)
            if found is not None:
                connection.execute(_WAIT_FOR_STANDBYS)
            return found

        return await self.write(wait, repeatable=True)

    async def examine(self, work: Callable[[Connection], T]) -> T:
        """Read in a transaction, whose statements would each see what was committed before it."""

        def in_one_snapshot(connection: Connection) -> T:
            connection.execute(_ONE_SNAPSHOT)
            return work(connection)

        return await self.write(in_one_snapshot, repeatable=True)

    async def migrate(self, work: Callable[[Connection], None]) -> None:
        """Run the work behind an advisory lock, for as long as it takes."""

        def alone(connection: Connection) -> None:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            work(connection)

        engine = _create_engine(self._hosts.connect_without_time_limit, poolclass=NullPool)
        await self._attempts.run(lambda: run_transaction(engine, alone))

    async def exists(self) -> bool:
        """Say that there is one: if it cannot be reached, reading says why."""
        return True

    async def check(self) -> None:
        """Do nothing: a server that is another one by now has closed its connections."""

    async def close(self) -> None:
        """Wait for what is under way and close every connection."""
        await self._attempts.wait_until_idle()
        await self._limits.close()
        await self._engine.dispose()


def _create_engine(
    connect: Callable[[], Awaitable[PostgresConnection]], **pool: object
) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, hide_parameters=True, **pool
    )
