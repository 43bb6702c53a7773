"""Prepared statements on SQLite read and write as SQLAlchemy does."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select

from ordergate.adapters.sql.repositories.order_statements import OWNED, PAGE
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.adapters.sql.sqlite.file import make_private
from ordergate.application.errors import StorageUnavailable
from tests.support.builders import ALICE, TEAPOT, an_order


async def as_sqlalchemy_does(
    database: SqliteDatabase, query: Select[Any], values: dict[str, Any]
) -> list[tuple[object, ...]]:
    rows = await database.read(lambda connection: connection.execute(query, values).all())
    return sorted(map(tuple, rows))


async def test_prepared_query_reads_the_same_rows_as_sqlalchemy(
    database: SqliteDatabase,
) -> None:
    storage = SqlStorage(database)
    at = datetime(2026, 3, 1, 9, 30, 15, 123456, tzinfo=UTC)
    order = replace(an_order(1), placed_at=at, lines=(TEAPOT,) * 3)
    await storage.loader.load([ALICE], [order])
    page = {"owner": 1, "since": at, "placed_at": at, "id": 2, "limit": 9}
    for query, values in ((OWNED, {"owner": 1, "order_id": 1}), (PAGE, page)):
        rows = await database.rows(query, values)
        assert sorted(map(tuple, rows)) == await as_sqlalchemy_does(database, query, values)
        assert len(rows) == 3
    assert await database.rows(OWNED, {"owner": 2, "order_id": 1}) == []


async def test_placed_order_is_stored_as_sqlalchemy_stores_it(tmp_path: Path) -> None:
    at = datetime(2026, 3, 1, 9, 30, 15, 123456, tzinfo=UTC)
    order = replace(an_order(1), placed_at=at, lines=(TEAPOT,) * 3)
    stored = []
    for name, orders in (("placed", []), ("loaded", [order])):
        database = SqliteDatabase(tmp_path / name)
        storage = SqlStorage(database)
        await storage.migrate()
        await storage.loader.load([ALICE], orders)
        if not orders:
            assert await storage.orders.add(order, owner=ALICE.id) == order
        await database.close()
        with closing(sqlite3.connect(tmp_path / name)) as file:
            rows = [
                row
                for query in ("SELECT * FROM orders", "SELECT * FROM order_lines")
                for row in file.execute(query)
            ]
        stored.append([[(type(value), value) for value in row] for row in rows])
    assert stored[0] == stored[1]
    assert len(stored[0]) == 4


async def test_prepared_query_raises_the_engines_error(file: Path) -> None:
    database = SqliteDatabase(file)
    with pytest.raises(StorageUnavailable, match="unable to open"):
        await database.rows(OWNED, {"owner": 1, "order_id": 1})
    make_private(file)
    with pytest.raises(StorageUnavailable, match="no such table"):
        await database.rows(OWNED, {"owner": 1, "order_id": 1})
    await database.close()
