"""Storages on a database of the test's own, also behind a proxy."""

from collections.abc import AsyncIterator

import pytest

from ordergate.adapters.sql.mysql.database import MysqlDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from tests.support.builders import ALICE
from tests.support.databases.mariadb import database_at
from tests.support.proxies.lossy_proxy import LossyProxy
from tests.support.storage.sql_storages import open_with_alice


@pytest.fixture
async def database(mariadb_url: str) -> AsyncIterator[MysqlDatabase]:
    database = database_at(mariadb_url)
    yield database
    await database.close()


@pytest.fixture
async def bare(bare_mariadb_url: str) -> AsyncIterator[MysqlDatabase]:
    database = database_at(bare_mariadb_url)
    yield database
    await database.close()


@pytest.fixture
async def storage(database: MysqlDatabase) -> SqlStorage:
    storage = SqlStorage(database)
    await storage.loader.load([ALICE], [])
    return storage


@pytest.fixture
async def wire(mariadb_url: str) -> AsyncIterator[LossyProxy]:
    async with LossyProxy(mariadb_url).running() as wire:
        yield wire


@pytest.fixture
async def wired(wire: LossyProxy) -> AsyncIterator[SqlStorage]:
    async with open_with_alice(database_at(wire.url)) as storage:
        yield storage
