"""SQL storages that are open for a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ordergate.adapters.sql.database import Database
from ordergate.adapters.sql.sql_storage import SqlStorage
from tests.support.builders import ALICE


@asynccontextmanager
async def open_with_alice(database: Database) -> AsyncIterator[SqlStorage]:
    """Lend a migrated storage with one user."""
    storage = SqlStorage(database)
    await storage.loader.load([ALICE], [])
    yield storage
    await storage.close()
