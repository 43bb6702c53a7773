"""A MariaDB or MySQL database."""

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import cast

from sqlalchemy import Connection, bindparam, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import IntegrityError
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
from ordergate.adapters.sql.mysql.cluster import TURNS_MISSING, lacks_turns, take_turn
from ordergate.adapters.sql.mysql.connection import UNUSABLE, MysqlConnection, connect
from ordergate.adapters.sql.mysql.dialect import DRIVER, OrdergateDialect
from ordergate.adapters.sql.mysql.errors import VIOLATED_CHECKS, get_error_code, make_driver_errors
from ordergate.adapters.sql.mysql.migration import between_migrations, migrate_alone
from ordergate.adapters.sql.mysql.url import split_hosts
from ordergate.adapters.sql.mysql.writes.block import Block
from ordergate.adapters.sql.mysql.writes.order_writes import bind_order, make_change, make_placing
from ordergate.adapters.sql.mysql.writes.session_writes import make_rotation, make_start
from ordergate.adapters.sql.recognition import TABLES
from ordergate.adapters.sql.server.database import ServerDatabase, ServerLimits
from ordergate.adapters.sql.server.hosts import Hosts
from ordergate.adapters.sql.server.inspection import inspect_server
from ordergate.adapters.sql.write_values import bind_change, bind_rotation, bind_start
from ordergate.application.ports.sessions import NewSession, TokenExchange
from ordergate.application.ports.storage import StorageFacts
from ordergate.domain.session import SessionId

_NAMES = {"mysql": "MySQL", "mariadb": "MariaDB"}

_CLOCK = text("SELECT @@version, UNIX_TIMESTAMP(NOW(6))")
_LIMITS = text("SELECT @@max_connections, @@max_user_connections")
_COLLATION = text("SELECT @@collation_connection")
_OTHER_COLLATIONS = text(
    "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = DATABASE() AND table_name IN :tables AND collation_name <> :collation"
    " ORDER BY table_name, column_name"
).bindparams(bindparam("tables", TABLES, expanding=True))


class MysqlDatabase(ServerDatabase, OrderWriter, SessionWriter):
    """A MariaDB or MySQL database.

    A session commits each statement; a transaction begins with BEGIN. MariaDB runs the frequent
    writes as one statement each. MySQL has no such statements, and runs their transactions.
    """

    def __init__(self, url: str, **limits: Unpack[ServerLimits]) -> None:
        seconds = limits["statement_seconds"]
        self._hosts = Hosts(split_hosts(url), connect, failures=UNUSABLE, statement_seconds=seconds)
        errors = make_driver_errors(_NAMES[url.partition(":")[0]])
        super().__init__(partial(_create_engine, self._hosts.connect), errors, **limits)
        self._writes = self._engine.execution_options()
        event.listen(self._writes.sync_engine, "begin", _begin)

    @override
    async def insert_order(
        self, rows: OrderRows, *, placed: T, otherwise: Callable[[Connection], T]
    ) -> T:
        """Place an order in one round trip to MariaDB."""
        make = partial(make_placing, len(rows.lines), has_key=rows.key is not None)
        run = partial(_run_block, make, values=bind_order(rows))
        return await self._write_by_block(run, lambda _: placed, otherwise, repeatable=True)

    @override
    async def update_order(
        self, before: Values, after: Values, *, changed: T, otherwise: Callable[[Connection], T]
    ) -> T:
        """Update an order in one round trip to MariaDB."""
        run = partial(_run_block, make_change, values=bind_change(before, after))
        return await self._write_by_block(run, lambda _: changed, otherwise)

    @override
    async def start_session(
        self, new: NewSession, *, limit: int, otherwise: Callable[[Connection], Ended]
    ) -> Ended:
        """Start a session in one round trip to MariaDB."""

        def read(rows: Rows) -> Sequence[SessionId]:
            return [SessionId(each) for each in json.loads(rows[0][0])]

        run = partial(_run_block, make_start, values=bind_start(new, limit))
        return await self._write_by_block(run, read, otherwise)

    @override
    async def rotate_token(
        self, exchange: TokenExchange, *, rotated: T, otherwise: Callable[[Connection], T]
    ) -> T:
        """Rotate a refresh token in one round trip to MariaDB."""
        run = partial(make_rotation().run, values=bind_rotation(exchange))
        return await self._write_by_block(run, lambda _: rotated, otherwise)

    async def _write_by_block(
        self,
        run: Callable[[MysqlConnection], Awaitable[Rows]],
        read: Callable[[Rows], T],
        otherwise: Callable[[Connection], T],
        *,
        repeatable: bool = False,
    ) -> T:
        if self._has_blocks():
            return await self._write_by_statement(run, read, otherwise, repeatable=repeatable)
        return await self.write(otherwise, repeatable=repeatable)

    def _has_blocks(self) -> bool:
        """Report whether a connection has found MariaDB."""
        return bool(cast("OrdergateDialect", self._engine.dialect).is_mariadb)

    @override
    def take_turn(self, connection: Connection, owner: int) -> None:
        """Write the owner's turn at a node of a cluster."""
        take_turn(connection, owner)

    async def examine(self, work: Callable[[Connection], T]) -> T:
        """Read while no migration runs, because no snapshot has the schema."""
        return await self.write(lambda c: between_migrations(c, work), repeatable=True)

    async def inspect(self) -> StorageFacts:
        """Return the properties of the server."""
        server = self._errors.server
        return await self.read(lambda c: inspect_server(c, server, clock=_CLOCK, limits=_LIMITS))

    async def migrate(self, work: Callable[[Connection], None]) -> None:
        """Run the job under a lock, without a time limit."""
        engine = _create_engine(self._hosts.connect_without_time_limit, poolclass=NullPool)
        await self._attempts.run(lambda: migrate_alone(engine, work, self._errors))

    async def find_schema_error(self) -> str | None:
        """Name the columns of another collation than Ordergate's, or a missing table."""
        if await self.read(lacks_turns):
            return TURNS_MISSING

        def find(connection: Connection) -> list[str]:
            ours = {"collation": connection.scalar(_COLLATION)}
            return [".".join(row) for row in connection.execute(_OTHER_COLLATIONS, ours)]

        if others := await self.read(find):
            return (
                f"the collation of {', '.join(others)} takes different texts for the same;"
                " restore the tables with their own collations"
            )
        return None


def _create_engine(
    connect: Callable[[], Awaitable[MysqlConnection]], **pool: object
) -> AsyncEngine:
    engine = create_async_engine(
        f"{DRIVER}://", async_creator=connect, hide_parameters=True, **pool
    )
    event.listen(engine.sync_engine, "handle_error", _find_violated_checks)
    return engine


async def _run_block(
    make: Callable[..., Block], connection: MysqlConnection, *, values: Values
) -> Rows:
    block = make(in_cluster=connection.in_cluster)
    return await block.run(connection, values)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _find_violated_checks(context: ExceptionContext) -> None:
    """Raise `IntegrityError` for a violated CHECK constraint."""
    error = context.original_exception
    if isinstance(error, Exception) and get_error_code(error) in VIOLATED_CHECKS:
        raise IntegrityError(context.statement, None, error, hide_parameters=True)
