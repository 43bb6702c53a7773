"""PostgreSQL, opened for one process: a pool of connections that the event loop waits for."""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.sql.database import Database, T
from adapters.sql.postgres_errors import (
    FAILURES,
    cause_of,
    is_lost,
    is_unheard,
    may_pass,
    words_for,
)
from adapters.sql.postgres_url import each_host
from application.errors import OutcomeUnknown, StorageUnavailable

CONNECT_SECONDS = 3.0
"""How long each host may take to accept a connection."""

ATTEMPTS = 5
"""How often work is tried that may succeed soon."""

_KEPT_FOR_READS = 2
"""Connections that no write takes: those that wait for one owner's row hold up nobody's reads."""

_FIRST_PAUSE_SECONDS = 0.05
_NETWORK_SECONDS = 1.0
_MIGRATION_LOCK = 0x6F72646572  # "order": one lock of the database's advisory ones

_DriverConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class _CommitUnheardError(Exception):
    """The connection was lost while COMMIT was under way."""


class PostgresDatabase(Database):
    """One PostgreSQL database, at the first of the URL's hosts that is fit to use.

    A read is one statement outside any transaction: one trip to the server. A write is a
    transaction at READ COMMITTED, which is repeated as a whole after a serialization failure, a
    deadlock or a connection lost before COMMIT, up to `ATTEMPTS` times and as long as a statement
    may take. After one that was lost while COMMIT was under way, only repeatable work is; other
    work is `OutcomeUnknown`.

    What is raised as `StorageUnavailable` quotes no value, no statement and no password.
    """

    def __init__(
        self, url: str, *, pool_size: int, pool_seconds: float, statement_seconds: float
    ) -> None:
        self._hosts = deque(each_host(url))
        self._statement_seconds = statement_seconds
        self._engine = _engine(
            self._connect, pool_size=pool_size, max_overflow=0, pool_timeout=pool_seconds
        )
        self._pool_seconds = pool_seconds
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
    ) -> T:
        """Run one statement, again if the connection is lost."""

        async def once() -> T:
            async with self._reads.connect() as connection:
                return await _run(connection, work)

        return await self._until_done(once)

    async def write(self, work: Callable[[Connection], T], *, repeatable: bool = False) -> T:
        """Run a transaction; the work decides by the rows it locks, and waits for those."""
        try:
            async with asyncio.timeout(self._pool_seconds):
                await self._writes.acquire()
        except TimeoutError:
            raise StorageUnavailable("PostgreSQL: too many writes are waiting") from None
        try:
            return await self._until_done(
                lambda: _transaction(self._engine, work), repeatable=repeatable
            )
        finally:
            self._writes.release()

    async def migrate(self, work: Callable[[Connection], None]) -> None:
        """Run the work behind an advisory lock, for as long as it takes."""

        def alone(connection: Connection) -> None:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            work(connection)

        engine = _engine(lambda: self._connect(limited=False), poolclass=NullPool)
        await self._until_done(lambda: _transaction(engine, alone), repeatable=True)

    async def exists(self) -> bool:
        """Say that there is one: if it cannot be reached, reading says why."""
        return True

    async def check(self) -> None:
        """Do nothing: a server that is another one by now has closed its connections."""

    async def close(self) -> None:
        """Wait for what is under way and close every connection."""
        await self._idle.wait()
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
        words, unheard = "", False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await once()
            except IntegrityError:
                raise
            except _CommitUnheardError:
                words, again, unheard = "the connection was lost during COMMIT", repeatable, True
            except FAILURES as error:
                words, again = words_for(cause_of(error)), may_pass(cause_of(error))
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

    async def _connect(self, *, limited: bool = True) -> _DriverConnection:
        """Connect to the first host that is fit; one that is not is asked last from now on.

        The driver would share one time limit among all hosts, which the first could use up.
        """
        limit = self._statement_seconds if limited else 0
        options = " ".join(f"-c {name}={value}" for name, value in _options(limit).items())
        failure: Exception = ConnectionError()
        for host in tuple(self._hosts):  # others who connect meanwhile turn the queue
            try:
                return await asyncpg.connect(
                    host,
                    timeout=CONNECT_SECONDS,
                    command_timeout=limit + _NETWORK_SECONDS if limited else None,
                    server_settings={"application_name": "ordergate", "options": options},
                )
            except (OSError, asyncpg.PostgresError, asyncpg.TargetServerAttributeNotMatched) as e:
                failure = e
                if self._hosts[0] is host:
                    self._hosts.rotate(-1)
        raise failure


def _options(limit: float) -> dict[str, str]:
    """Return the settings of a session whose statements end within `limit` seconds, 0 for never.

    Everything is found by keys. The planner's other ways pay off where most of a table is read; by
    stale statistics, a page would be cut from all that its owner has.
    """
    ways = ("bitmapscan", "hashjoin", "mergejoin", "seqscan", "sort")
    return {
        "default_transaction_isolation": r"read\ committed",
        "idle_in_transaction_session_timeout": f"{limit * 1_000:.0f}",
        "lock_timeout": f"{limit * 500:.0f}",
        "statement_timeout": f"{limit * 1_000:.0f}",
        **{f"enable_{way}": "off" for way in ways},
        # What has no other way seems dear enough to be compiled, for 90 ms at each query.
        "jit": "off",
    }


def _engine(connect: Callable[[], Awaitable[_DriverConnection]], **pool: object) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, hide_parameters=True, **pool
    )


async def _run(connection: AsyncConnection, work: Callable[[Connection], T]) -> T:
    """Run work, and let the connection go if it is lost: another must not be handed it."""
    try:
        return await connection.run_sync(work)
    except FAILURES as error:
        if is_lost(cause_of(error)):
            await connection.invalidate()
        raise


async def _transaction(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    async with engine.connect() as connection:
        result = await _run(connection, work)
        driver: _DriverConnection = (await connection.get_raw_connection()).driver_connection
        if driver.is_closed():
            await connection.invalidate()
            raise ConnectionError
        try:
            await connection.commit()
        except FAILURES as error:
            # Whatever it was, SQLAlchemy would hand the connection on without rolling back.
            await connection.invalidate()
            if is_unheard(cause_of(error)):
                raise _CommitUnheardError from None
            raise
        return result
