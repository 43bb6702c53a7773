"""PostgreSQL, opened for one process: a pool of connections that the event loop waits for."""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ordergate.adapters.sql.database import Database, T
from ordergate.adapters.sql.postgres.connection import PostgresConnection, connect
from ordergate.adapters.sql.postgres.errors import (
    FAILURES,
    cause_of,
    describe,
    is_commit_ambiguous,
    is_lost,
    is_transient,
    is_unstorable,
)
from ordergate.adapters.sql.postgres.pool import ConnectionLimits
from ordergate.adapters.sql.postgres.url import split_hosts
from ordergate.application.errors import OutcomeUnknown, StorageUnavailable, UnstorableValue

CONNECT_SECONDS = 3.0
"""How long each host may take to accept a connection."""

ATTEMPTS = 5
"""How often work is tried that may succeed soon."""

_FOR_SHARED_READS = 1
"""Connections beyond the pool that are opened for shared reads when all of the pool are in use."""

_KEPT_FOR_READS = 2
"""Connections that writes never take, so writes that wait for a row block no reads."""

_FIRST_PAUSE_SECONDS = 0.05
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


class _AmbiguousCommitError(Exception):
    """It is not known whether a COMMIT was done, or whether it can still be lost."""


class _SilentConnectionError(Exception):
    """A connection of the pool has not answered in time, before any COMMIT was sent on it."""


class PostgresDatabase(Database):
    """One PostgreSQL database, at the first of the URL's hosts that is fit to use.

    A read is one statement outside any transaction: one trip to the server. A write is a
    transaction at READ COMMITTED, which is repeated as a whole after a serialization failure, a
    deadlock or a connection lost before COMMIT, up to `ATTEMPTS` times and as long as a statement
    may take. After one that was lost while COMMIT was under way, only repeatable work is; other
    work is `OutcomeUnknown`. So is a COMMIT that stopped waiting for a synchronous standby.

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
        self._hosts = deque(split_hosts(url))
        self._statement_seconds = statement_seconds
        self._engine = _engine(
            self._connect,
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
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

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
                return await self._run(connection, work)

        if shared:
            return await self._until_done(once)
        async with self._turn(self._not_shared, _ALL_IN_USE):
            return await self._until_done(once)

    async def write(self, work: Callable[[Connection], T], *, repeatable: bool = False) -> T:
        """Run a transaction; the work decides by the rows it locks, and waits for those."""
        async with (
            self._turn(self._writes, "too many writes are waiting"),
            self._turn(self._not_shared, _ALL_IN_USE),
        ):
            return await self._until_done(
                lambda: self._transaction(self._engine, work), repeatable=repeatable
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

        engine = _engine(lambda: self._connect(limited=False), poolclass=NullPool)
        await self._until_done(lambda: self._transaction(engine, alone))

    async def exists(self) -> bool:
        """Say that there is one: if it cannot be reached, reading says why."""
        return True

    async def check(self) -> None:
        """Do nothing: a server that is another one by now has closed its connections."""

    async def close(self) -> None:
        """Wait for what is under way and close every connection."""
        await self._idle.wait()
        await self._limits.close()
        await self._engine.dispose()

    async def _until_done(self, once: Callable[[], Awaitable[T]], *, repeatable: bool = False) -> T:
        self._under_way += 1
        self._idle.clear()
        try:
            return await self._repeat(once, repeatable=repeatable)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _repeat(self, once: Callable[[], Awaitable[T]], *, repeatable: bool) -> T:
        now = asyncio.get_running_loop().time
        last = now() + self._statement_seconds
        words, unheard, silent = "", False, False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await once()
            except IntegrityError:
                raise
            except _SilentConnectionError:
                words, again = "no answer in time", not silent
                if again:
                    silent, last = True, now() + self._statement_seconds
                    continue
            except _AmbiguousCommitError as error:
                words, again, unheard = str(error), repeatable, True
            except FAILURES as error:
                cause = cause_of(error)
                if is_unstorable(cause):
                    raise UnstorableValue(f"PostgreSQL: {describe(cause)}") from None
                words, again = describe(cause), is_transient(cause)
            if not again or attempt == ATTEMPTS or now() > last:
                break
            pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)
            await asyncio.sleep(secrets.SystemRandom().uniform(pause / 2, pause))
        # Without its cause, which quotes the statement.
        if unheard:
            raise OutcomeUnknown(
                f"PostgreSQL: {words}, and it is not known whether the change was made;"
                " look before trying again"
            ) from None
        raise StorageUnavailable(f"PostgreSQL: {words}") from None

    async def _run(self, connection: AsyncConnection, work: Callable[[Connection], T]) -> T:
        """Run work, and let the connection go if it is lost: another must not be handed it."""
        driver = _driver_of(connection)
        try:
            return await connection.run_sync(work)
        except FAILURES as error:
            if not is_lost(cause_of(error)):
                raise
            driver.terminate()  # a silent server would not answer a termination
            await connection.invalidate()
            if isinstance(error, TimeoutError) and driver.idle_since is not None:
                self._limits.note_silence()
                raise _SilentConnectionError from None
            raise

    async def _transaction(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
        async with engine.connect() as connection:
            result = await self._run(connection, work)
            driver = _driver_of(connection)
            if driver.is_closed():
                await connection.invalidate()
                raise ConnectionError
            driver.committing, driver.replication_wait_cancelled = True, False
            try:
                await connection.commit()
            except FAILURES as error:
                # Whatever it was, SQLAlchemy would hand the connection on without rolling back.
                await connection.invalidate()
                if is_commit_ambiguous(cause_of(error)):
                    raise _AmbiguousCommitError("the connection was lost during COMMIT") from None
                raise
            driver.committing = False
            if driver.replication_wait_cancelled:
                raise _AmbiguousCommitError("COMMIT stopped waiting for a synchronous standby")
            return result

    async def _connect(self, *, limited: bool = True) -> PostgresConnection:
        """Connect to the first host that is fit; one that is not is asked last from now on.

        The driver would share one time limit among all hosts, which the first could use up.
        """
        limit = self._statement_seconds if limited else 0
        failure: Exception = ConnectionError()
        for host in tuple(self._hosts):  # others who connect meanwhile turn the queue
            try:
                return await connect(host, seconds=CONNECT_SECONDS, statement_seconds=limit)
            except (OSError, asyncpg.PostgresError, asyncpg.TargetServerAttributeNotMatched) as e:
                failure = e
                if self._hosts[0] is host:
                    self._hosts.rotate(-1)
        raise failure


def _engine(connect: Callable[[], Awaitable[PostgresConnection]], **pool: object) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, hide_parameters=True, **pool
    )


def _driver_of(connection: AsyncConnection) -> PostgresConnection:
    """Return the driver's connection without a switch of greenlets."""
    if connection.sync_connection is None:
        raise ConnectionError
    return cast("PostgresConnection", connection.sync_connection.connection.driver_connection)
