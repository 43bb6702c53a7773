"""A database file for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


@pytest.fixture
async def database(file: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(file)
    await SqlStorage(database).migrate()
    yield database
    await database.close()
