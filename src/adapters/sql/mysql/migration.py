"""Migrations of an engine whose DDL is not transactional.

Each statement of a migration stands by itself. A migration that was interrupted runs again from
its beginning, and a statement whose effect is there already is passed over. A table of Ordergate's
own holds a row that is locked during migrations, and a row that says that one was begun. Other
processes take the tables of a migration that was begun for Ordergate's own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asyncmy.errors import MySQLError
from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import await_only

from ordergate.adapters.sql.database import T
from ordergate.adapters.sql.mysql.cluster import CREATE_TURNS
from ordergate.adapters.sql.mysql.errors import get_error_code
from ordergate.adapters.sql.recognition import MIGRATIONS
from ordergate.adapters.sql.server.errors import DriverErrors
from ordergate.adapters.sql.server.transaction import run_work
from ordergate.application.errors import SchemaNotCurrent

_CREATE = (
    "CREATE TABLE IF NOT EXISTS ordergate_migrations (name VARCHAR(32) PRIMARY KEY) ENGINE=InnoDB"
)
_ADD_LOCK = "INSERT IGNORE INTO ordergate_migrations VALUES ('lock')"
_LOCK = "SELECT name FROM ordergate_migrations WHERE name = 'lock' FOR UPDATE"
_SHARE_LOCK = text("SELECT name FROM ordergate_migrations WHERE name = 'lock' LOCK IN SHARE MODE")
_BEGIN = "INSERT IGNORE INTO ordergate_migrations VALUES ('begun')"
_END = "DELETE FROM ordergate_migrations WHERE name = 'begun'"

_READING = frozenset({"DESCRIBE", "SELECT", "SHOW"})
_DONE = frozenset({1050, 1051, 1060, 1061, 1062, 1091})
"""A table, column, index or row exists, or is gone, as the statement wants it."""


async def migrate_alone(
    engine: AsyncEngine, work: Callable[[Connection], None], errors: DriverErrors
) -> None:
    """Run migrations under the lock."""
    async with engine.connect() as guard:
        await run_work(guard, _lock, errors)
        async with engine.connect() as connection:
            with _resume_migration(connection, guard):
                await run_work(connection, work, errors)
            await run_work(connection, lambda c: c.exec_driver_sql(_END), errors)


def _lock(guard: Connection) -> None:
    for statement in (_CREATE, _ADD_LOCK, CREATE_TURNS, "BEGIN", _LOCK):
        guard.exec_driver_sql(statement)


@contextmanager
def _resume_migration(connection: AsyncConnection, guard: AsyncConnection) -> Iterator[None]:
    """Mark a migration, and pass over changes that are there."""
    begun = False

    def change(cursor: Any, statement: str, parameters: Any, *, many: bool = False) -> bool:
        nonlocal begun
        if statement.split(None, 1)[0] in _READING:
            return False
        await_only(guard.exec_driver_sql("SELECT 1"))  # the lock is lost with its connection
        if not begun:
            cursor.execute(_BEGIN)
            begun = True
        try:
            (cursor.executemany if many else cursor.execute)(statement, parameters)
        except MySQLError as error:
            if get_error_code(error) not in _DONE:
                raise
        return True

    def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        mine = context.root_connection is connection.sync_connection
        return mine and change(cursor, statement, parameters)

    def execute_many(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        mine = context.root_connection is connection.sync_connection
        return mine and change(cursor, statement, parameters, many=True)

    engine = connection.engine.sync_engine
    listeners = {"do_execute": execute, "do_executemany": execute_many}
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners.items():
            event.remove(engine, name, listener)


def between_migrations(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Run work that reads the schema, while no migration changes it."""
    if not inspect(connection).has_table(MIGRATIONS):
        try:
            return work(connection)
        except SchemaNotCurrent:
            if not inspect(connection).has_table(MIGRATIONS):
                raise
        # The first migration began meanwhile.
    connection.execute(_SHARE_LOCK)
    return work(connection)
