"""Races of the contract across two nodes of a Galera cluster."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import SchemaNotCurrent
from ordergate.application.ports.storage import Storage
from ordergate.domain.user import PasswordHash, Username
from tests.contracts.orders.order_races_contract import OrderRacesContract
from tests.contracts.storage.races_contract import RacesContract
from tests.integration.mysql.test_mysql_storage import TestMysqlStorage as MysqlContract
from tests.support.databases.galera import GaleraCluster
from tests.support.databases.mariadb import Databases, database_at, execute, fetch
from tests.support.program.command import SECONDS

_ACROSS_NODES = {
    *(name for name in dir(RacesContract) if name.startswith("test_")),
    *(name for name in dir(OrderRacesContract) if name.startswith("test_")),
    "test_change_by_another_process_is_visible",
    "test_parallel_loads_succeed_once",
}


@pytest.fixture(scope="module")
def url(galera: GaleraCluster, galera_databases: Databases) -> Iterator[str]:
    url = galera_databases.create(migrated=True)
    for node in galera.nodes:  # each waits until it has the database
        asyncio.run(execute(node.url(), "SET SESSION wsrep_sync_wait = 15", "SELECT 1"))
    yield url
    galera_databases.drop(url)


class TestGaleraStorage(MysqlContract):
    @pytest.fixture(autouse=True)
    def _cluster(self, galera: GaleraCluster) -> None:
        self.cluster = galera

    def another(self, storage: Storage) -> Storage:
        return SqlStorage(self.open_database(self.cluster.urls(self.url)[1]))


for _name in dir(MysqlContract):
    if _name.startswith("test_") and _name not in _ACROSS_NODES:
        setattr(TestGaleraStorage, _name, None)  # one node has passed it


async def test_cluster_without_the_table_of_turns_is_refused(
    galera: GaleraCluster, url: str
) -> None:
    await execute(url, "DROP TABLE ordergate_turns")
    storage = SqlStorage(database_at(galera.urls(url)[2]))
    with pytest.raises(SchemaNotCurrent, match="ordergate_turns is missing"):
        await storage.open()
    await storage.migrate()
    await storage.open()
    await storage.close()


async def test_node_that_has_lost_its_cluster_is_left_for_the_next(
    galera: GaleraCluster, url: str
) -> None:
    first, *_ = galera.urls(url)
    database = urlsplit(url).path[1:]
    await isolate(first, lost=True)
    try:
        storage = SqlStorage(database_at(galera.url(0, 1, database=database)))
        await storage.open()
        added = await storage.users.add(Username("erin"), PasswordHash("hash"))
        await storage.close()
    finally:
        await isolate(first, lost=False)
    back = SqlStorage(database_at(first))
    assert await back.users.find(Username("erin")) == added
    await back.close()


async def isolate(url: str, *, lost: bool) -> None:
    """Cut a node off from its cluster, or let it return."""
    await execute(url, f"SET GLOBAL wsrep_provider_options = 'gmcast.isolate={int(lost)}'")
    async with asyncio.timeout(SECONDS):
        while await fetch(url, "SHOW STATUS LIKE 'wsrep_ready'") != [
            ("wsrep_ready", "OFF" if lost else "ON")
        ]:
            await asyncio.sleep(0.1)
