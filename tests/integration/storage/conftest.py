"""A SQLite file with records."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from tests.support.builders import ALICE, BOB, an_order
from tests.support.storage.stored_rows import AT, hashed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a database where alice has orders 1 to 9, bob one."""
    file = tmp_path / ".ordergate" / "ordergate.db"
    asyncio.run(fill(file))
    return file


async def fill(file: Path) -> None:
    storage = SqlStorage(SqliteDatabase(file))
    await storage.migrate()
    await storage.open()
    password = await hashed()
    orders = [replace(an_order(i), placed_at=AT + timedelta(days=i)) for i in range(1, 10)]
    await storage.loader.load(
        [replace(ALICE, password_hash=password), replace(BOB, password_hash=password)],
        [*orders, an_order(10, owner=BOB.id)],
    )
    await storage.close()
