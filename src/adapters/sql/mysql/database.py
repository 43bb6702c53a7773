"""A MariaDB or MySQL database."""

from collections.abc import Awaitable, Callable
from functools import partial

from sqlalchemy import Connection, bindparam, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from typing_extensions import Unpack

from ordergate.adapters.sql.database import T
from ordergate.adapters.sql.mysql.connection import UNUSABLE, MysqlConnection, connect
from ordergate.adapters.sql.mysql.dialect import DRIVER
from ordergate.adapters.sql.mysql.errors import VIOLATED_CHECKS, get_error_code, make_driver_errors
from ordergate.adapters.sql.mysql.migration import between_migrations, migrate_alone
from ordergate.adapters.sql.mysql.url import split_hosts
from ordergate.adapters.sql.recognition import TABLES
from ordergate.adapters.sql.server.database import ServerDatabase, ServerLimits
from ordergate.adapters.sql.server.hosts import Hosts
from ordergate.adapters.sql.server.inspection import inspect_server
from ordergate.application.ports.storage import StorageFacts

_NAMES = {"mysql": "MySQL", "mariadb": "MariaDB"}

_CLOCK = text("SELECT @@version, UNIX_TIMESTAMP(NOW(6))")
_LIMITS = text("SELECT @@max_connections, @@max_user_connections")
_COLLATION = text("SELECT @@collation_connection")
_OTHER_COLLATIONS = text(
    "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = DATABASE() AND table_name IN :tables AND collation_name <> :collation"
    " ORDER BY table_name, column_name"
).bindparams(bindparam("tables", TABLES, expanding=True))


class MysqlDatabase(ServerDatabase):
    """A MariaDB or MySQL database.

    A session commits each statement; a write begins with BEGIN.
    """

    def __init__(self, url: str, **limits: Unpack[ServerLimits]) -> None:
        seconds = limits["statement_seconds"]
        self._hosts = Hosts(split_hosts(url), connect, failures=UNUSABLE, statement_seconds=seconds)
        errors = make_driver_errors(_NAMES[url.partition(":")[0]])
        super().__init__(partial(_create_engine, self._hosts.connect), errors, **limits)
        self._writes = self._engine.execution_options()
        event.listen(self._writes.sync_engine, "begin", _begin)

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
        """Name the columns of another collation than Ordergate's."""

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


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _find_violated_checks(context: ExceptionContext) -> None:
    """Raise `IntegrityError` for a violated CHECK constraint."""
    error = context.original_exception
    if isinstance(error, Exception) and get_error_code(error) in VIOLATED_CHECKS:
        raise IntegrityError(context.statement, None, error, hide_parameters=True)
