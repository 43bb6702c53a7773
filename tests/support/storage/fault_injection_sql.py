"""Storages in SQL, whose steps fail when a test says so."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import asyncpg
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from ordergate.adapters.sql.database import Rows, Values
from ordergate.adapters.sql.mysql.connection import MysqlConnection
from ordergate.adapters.sql.mysql.writes.block import Block
from ordergate.adapters.sql.postgres.statement import PostgresStatement
from ordergate.adapters.sql.sqlite.statement import SqliteStatement
from tests.support.storage.fault_injection import Failure


@contextmanager
def failing_statements(failure: Failure, cause: Exception | None = None) -> Iterator[None]:
    """Count each statement and COMMIT as a step, also those around SQLAlchemy.

    `cause` is what the driver seems to report to SQLAlchemy.
    """
    reported = cause or Exception("failed by a test")

    def step(*_: object) -> None:
        failure.step(OperationalError("a statement", None, reported))

    run = SqliteStatement.run

    def fail_or_run(
        statement: SqliteStatement, connection: sqlite3.Connection, *each: Values
    ) -> Rows:
        failure.step(sqlite3.OperationalError("failed by a test"))
        return run(statement, connection, *each)

    run_prepared = PostgresStatement.run

    async def fail_or_run_prepared(
        statement: PostgresStatement, connection: asyncpg.Connection, values: Values
    ) -> Rows:
        step()
        return await run_prepared(statement, connection, values)

    run_block = Block.run

    async def fail_or_run_block(block: Block, connection: MysqlConnection, values: Values) -> Rows:
        step()
        return await run_block(block, connection, values)

    for name in ("before_cursor_execute", "commit"):
        event.listen(Engine, name, step)
    try:
        with (
            patch.object(SqliteStatement, "run", fail_or_run),
            patch.object(PostgresStatement, "run", fail_or_run_prepared),
            patch.object(Block, "run", fail_or_run_block),
        ):
            yield
    finally:
        for name in ("before_cursor_execute", "commit"):
            event.remove(Engine, name, step)
