"""The contract on MariaDB."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager

import pytest
from asyncmy.errors import OperationalError
from hypothesis import settings
from sqlalchemy import Connection, text

from ordergate.adapters.sql.mysql.database import MysqlDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.ports.storage import Storage
from tests.contracts.identity_contract import STATEFUL, IdentityMachine
from tests.contracts.storage_contract import WholeStorageContract
from tests.support.fault_injection import Failure
from tests.support.fault_injection_sql import failing_statements
from tests.support.mariadb import Databases, database_at

TABLES = (
    "idempotency_keys", "order_lines", "orders", "external_subjects", "refresh_tokens", "sessions",
    "users", "copies",
)  # fmt: skip


@pytest.fixture(scope="module")
def url(mariadb_databases: Databases) -> Iterator[str]:
    """Return one database for all tests."""
    url = mariadb_databases.create(migrated=True)
    yield url
    mariadb_databases.drop(url)


@pytest.fixture
async def database(url: str) -> AsyncIterator[MysqlDatabase]:
    database = database_at(url)
    await database.write(delete_all)
    yield database
    await database.close()


def delete_all(connection: Connection) -> None:
    for table in TABLES:
        connection.execute(text(f"DELETE FROM {table}"))
    connection.execute(text("ALTER TABLE users AUTO_INCREMENT = 1"))


class TestMysqlStorage(WholeStorageContract):
    @pytest.fixture
    async def storage(self, database: MysqlDatabase, url: str) -> AsyncIterator[Storage]:
        self.database, self.url = database, url
        storage = SqlStorage(database)
        await storage.open()
        yield storage
        await storage.close()

    def another(self, storage: Storage) -> Storage:
        return SqlStorage(database_at(self.url))

    def fail_at(self, storage: Storage, failure: Failure) -> AbstractContextManager[None]:
        return failing_statements(failure, OperationalError(1021, "failed by a test"))

    def conflict_at(self, storage: Storage, failure: Failure) -> AbstractContextManager[None]:
        return failing_statements(failure, OperationalError(1213, "failed by a test"))

    async def empty(self, storage: Storage) -> None:
        await self.database.write(delete_all)


@pytest.fixture(scope="module", autouse=True)
def _databases(request: pytest.FixtureRequest) -> None:
    MysqlIdentity.databases = request.getfixturevalue("mariadb_databases")


class MysqlIdentity(IdentityMachine):
    databases: Databases

    def storage(self) -> Storage:
        self.url = self.databases.create(migrated=True)
        self.stored = SqlStorage(database_at(self.url))
        self.run(self.stored.open())
        return self.stored

    def teardown(self) -> None:
        self.run(self.stored.close())
        super().teardown()
        self.databases.drop(self.url)


TestIdentityOnMysql = MysqlIdentity.TestCase
# Each example needs a database and each step a round trip, so there are fewer examples.
TestIdentityOnMysql.settings = settings(STATEFUL, max_examples=3)
