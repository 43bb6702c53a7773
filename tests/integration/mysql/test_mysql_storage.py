"""The contract on MariaDB."""

from collections.abc import Iterator

import pytest
from asyncmy.errors import OperationalError
from sqlalchemy import Connection, text

from ordergate.adapters.sql.mysql.database import MysqlDatabase
from tests.contracts.storage.server_storage_contract import (
    FEW_EXAMPLES,
    ServerIdentityMachine,
    ServerStorageContract,
)
from tests.support.databases.mariadb import Databases, database_at

TABLES = (
    *("idempotency_keys", "order_lines", "orders", "external_subjects", "refresh_tokens"),
    *("sessions", "users", "copies"),
)


@pytest.fixture(scope="module")
def url(mariadb_databases: Databases) -> Iterator[str]:
    url = mariadb_databases.create(migrated=True)
    yield url
    mariadb_databases.drop(url)


class TestMysqlStorage(ServerStorageContract):
    def make_failure(self) -> Exception:
        error: Exception = OperationalError(1021, "failed by a test")
        return error

    def make_conflict(self) -> Exception:
        error: Exception = OperationalError(1213, "failed by a test")
        return error

    def open_database(self, url: str) -> MysqlDatabase:
        return database_at(url)

    def remove_all(self, connection: Connection) -> None:
        for table in TABLES:
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("ALTER TABLE users AUTO_INCREMENT = 1"))


@pytest.fixture(scope="module", autouse=True)
def _databases(mariadb_databases: Databases) -> None:
    MysqlIdentity.databases = mariadb_databases


class MysqlIdentity(ServerIdentityMachine):
    def open_database(self, url: str) -> MysqlDatabase:
        return database_at(url)


TestIdentityOnMysql = MysqlIdentity.TestCase
TestIdentityOnMysql.settings = FEW_EXAMPLES
