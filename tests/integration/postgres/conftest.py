"""Storages on a database of the test's own, also behind a proxy."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from tests.support.builders import ALICE
from tests.support.databases.postgres import database_at
from tests.support.proxies.lossy_proxy import LossyProxy
from tests.support.storage.sql_storages import open_with_alice


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = database_at(postgres_url)
    yield database
    await database.close()


@pytest.fixture
async def storage(database: PostgresDatabase) -> SqlStorage:
    storage = SqlStorage(database)
    await storage.loader.load([ALICE], [])
    return storage


@pytest.fixture
async def rival(postgres_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Return a connection of another client."""
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


@pytest.fixture
async def wire(postgres_url: str) -> AsyncIterator[LossyProxy]:
    async with LossyProxy(postgres_url).running() as wire:
        yield wire


@pytest.fixture
async def wired(wire: LossyProxy) -> AsyncIterator[SqlStorage]:
    async with open_with_alice(database_at(wire.url)) as storage:
        yield storage
