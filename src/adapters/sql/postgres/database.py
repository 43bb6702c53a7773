"""A PostgreSQL database, opened for one process with a pool of connections."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, Update, UpdateBase, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from typing_extensions import Unpack, override

from ordergate.adapters.sql.database import (
    Ended,
    OrderRows,
    OrderWriter,
    Rows,
    SessionWriter,
    T,
    Values,
)
from ordergate.adapters.sql.postgres.connecting.connection import PostgresConnection, connect
from ordergate.adapters.sql.postgres.connecting.driver import UNUSABLE
from ordergate.adapters.sql.postgres.connecting.session_settings import LIMITS
from ordergate.adapters.sql.postgres.connecting.url import DatabaseUrl
from ordergate.adapters.sql.postgres.errors import ERRORS
from ordergate.adapters.sql.postgres.order_writes import CHANGE, PLACE, PLACE_WITH_KEY, bind_order
from ordergate.adapters.sql.postgres.positions import note_written, noting, with_position
from ordergate.adapters.sql.postgres.session_writes import ROTATE, START
from ordergate.adapters.sql.postgres.statement import PostgresStatement
from ordergate.adapters.sql.server.database import ServerDatabase, ServerLimits
from ordergate.adapters.sql.server.hosts import Hosts
from ordergate.adapters.sql.server.inspection import inspect_server
from ordergate.adapters.sql.server.transaction import read_by_driver, run_transaction
from ordergate.adapters.sql.write_values import bind_change, bind_rotation, bind_start
from ordergate.application.consistency import CURRENT
from ordergate.application.ports.sessions import NewSession, TokenExchange
from ordergate.application.ports.storage import StorageFacts
from ordergate.domain.session import SessionId

_MIGRATION_LOCK = 0x6F72646572  # "order": one lock of the database's advisory ones

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

_CLOCK = text("SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp())")
_LIMITS = text(
    "SELECT current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int"
    " - coalesce(current_setting('reserved_connections', true), '0')::int,"
    " (SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = current_user),"
    " (SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = current_database())"
)
"""Connections that superusers and others keep, those of the role, and those of the database."""

_log = logging.getLogger("ordergate.database")


class PostgresDatabase(ServerDatabase, OrderWriter, SessionWriter):
    """A PostgreSQL database. The URL must be valid.

    A COMMIT that stopped waiting for a standby is `OutcomeUnknown`.

    Without `sends_settings`, a connection has the settings of its role, which are checked, and a
    pooler is asked at the start whether it keeps prepared statements.
    """

    _connect = staticmethod(connect)

    trips_of_a_commit = 2
    """SQLAlchemy sends BEGIN without an event."""

    def __init__(
        self, url: str, *, sends_settings: bool = True, **limits: Unpack[ServerLimits]
    ) -> None:
        address = DatabaseUrl.read(url)
        if ignored := address.parameters.ignored:
            _log.warning("database_parameters_ignored", extra={"parameters": ", ".join(ignored)})
        self._sends_settings = sends_settings
        self._hosts = Hosts(
            address.split(),
            partial(self._connect, sends_settings=sends_settings),
            failures=UNUSABLE,
            statement_seconds=limits["statement_seconds"],
            is_balanced=address.parameters.is_balanced,
        )
        super().__init__(partial(_create_engine, self._hosts.connect), ERRORS, **limits)
        self._reads = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._statements: dict[Select[Any] | UpdateBase, PostgresStatement] = {}

    @override
    async def insert_order(
        self, rows: OrderRows, *, placed: T, otherwise: Callable[[Connection], T]
    ) -> T:
        """Place an order in one round trip."""
        statement = PLACE_WITH_KEY if rows.key else PLACE
        return await self._write_order(
            statement, bind_order(rows), placed, otherwise, repeatable=True
        )

    @override
    async def update_order(
        self, before: Values, after: Values, *, changed: T, otherwise: Callable[[Connection], T]
    ) -> T:
        """Update an order in one round trip."""
        return await self._write_order(CHANGE, bind_change(before, after), changed, otherwise)

    async def _write_order(
        self,
        statement: Select[tuple[int]] | Update,
        values: Values,
        written: T,
        otherwise: Callable[[Connection], T],
        *,
        repeatable: bool = False,
    ) -> T:
        """Run a statement, with its position where a request notes it."""
        noted = with_position(statement) if CURRENT.get() else statement
        run = partial(self._compile(noted).run, values=values)

        def read(rows: Rows) -> T:
            note_written(rows)
            return written

        return await self._write_by_statement(run, read, noting(otherwise), repeatable=repeatable)

    @override
    async def start_session(
        self, new: NewSession, *, limit: int, otherwise: Callable[[Connection], Ended]
    ) -> Ended:
        """Start a session in one round trip."""

        def read(ended: Rows) -> Sequence[SessionId]:
            return [SessionId(each) for (each,) in ended if each is not None]

        run = partial(self._compile(START).run, values=bind_start(new, limit))
        return await self._write_by_statement(run, read, otherwise)

    @override
    async def rotate_token(
        self, exchange: TokenExchange, *, rotated: T, otherwise: Callable[[Connection], T]
    ) -> T:
        """Rotate a refresh token in one round trip."""
        run = partial(self._compile(ROTATE).run, values=bind_rotation(exchange))
        return await self._write_by_statement(run, lambda _: rotated, otherwise)

    @override
    async def rows(self, query: Select[Any], values: Values) -> Rows:
        """Read in one round trip, without SQLAlchemy's execution."""
        statement = self._compile(query)

        async def once() -> Rows:
            self._round_trips.note()
            run = partial(self._run_reading, statement, values=values)
            return await read_by_driver(self._engine, run, ERRORS)

        async with self._wait_for_room(self._not_shared, self._all_in_use):
            return await self._attempts.run(once)

    async def _run_reading(
        self, statement: PostgresStatement, connection: PostgresConnection, *, values: Values
    ) -> Rows:
        return await statement.run(connection, values)

    def _compile(self, statement: Select[Any] | UpdateBase) -> PostgresStatement:
        known = self._statements.get(statement)
        if known is None:
            known = self._statements[statement] = PostgresStatement(statement, self._engine.dialect)
        return known

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

        return await self.write(noting(wait), repeatable=True)

    async def examine(self, work: Callable[[Connection], T]) -> T:
        """Read in one transaction, so all statements see one snapshot."""
        if not self._sends_settings:
            await self._attempts.run(self._move_statement)

        def in_one_snapshot(connection: Connection) -> T:
            connection.execute(_ONE_SNAPSHOT)
            return work(connection)

        return await self.write(in_one_snapshot, repeatable=True)

    async def inspect(self) -> StorageFacts:
        """Return the properties of the server."""
        return await self.examine(
            lambda c: inspect_server(c, ERRORS.server, clock=_CLOCK, limits=_LIMITS)
        )

    async def _move_statement(self) -> None:
        """Run a prepared statement at two connections of a pooler.

        The transaction of `second` takes the connection at which `first` prepared the statement, so
        `first` runs it at the other one. A pooler with one connection does not answer in time, and
        moves no statement.
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
        await self._attempts.run(lambda: run_transaction(engine, alone, ERRORS))


def _create_engine(
    connect: Callable[[], Awaitable[PostgresConnection]], **pool: object
) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, hide_parameters=True, **pool
    )
