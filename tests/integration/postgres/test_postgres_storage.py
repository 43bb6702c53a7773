"""The contract on PostgreSQL."""

import os
from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy import Connection, text

from ordergate.adapters.sql.postgres.database import PostgresDatabase
from tests.contracts.storage.server_storage_contract import (
    FEW_EXAMPLES,
    ServerIdentityMachine,
    ServerStorageContract,
)
from tests.support.databases.postgres import Databases, database_at

POOLED_URL = os.environ.get("ORDERGATE_TEST_PGBOUNCER")
"""A migrated database through a pooler, whose role has the settings; what it has is removed."""

REMOVE_ALL = text(
    "TRUNCATE idempotency_keys, order_lines, orders, external_subjects,"
    " refresh_tokens, sessions, users, copies RESTART IDENTITY"
)


@pytest.fixture(scope="module", params=["direct", "pooled"] if POOLED_URL else ["direct"])
def url(request: pytest.FixtureRequest, postgres_databases: Databases) -> Iterator[str]:
    if POOLED_URL and request.param == "pooled":
        yield POOLED_URL
        return
    url = postgres_databases.create(migrated=True)
    yield url
    postgres_databases.drop(url)


class TestPostgresStorage(ServerStorageContract):
    def make_failure(self) -> Exception:
        error: Exception = asyncpg.DiskFullError("failed by a test")
        return error

    def make_conflict(self) -> Exception:
        error: Exception = asyncpg.SerializationError("failed by a test")
        return error

    def open_database(self, url: str) -> PostgresDatabase:
        return database_at(url, sends_settings=url != POOLED_URL)

    def remove_all(self, connection: Connection) -> None:
        connection.execute(REMOVE_ALL)


@pytest.fixture(scope="module", autouse=True)
def _databases(postgres_databases: Databases) -> None:
    PostgresIdentity.databases = postgres_databases


class PostgresIdentity(ServerIdentityMachine):
    def open_database(self, url: str) -> PostgresDatabase:
        return database_at(url)


TestIdentityOnPostgres = PostgresIdentity.TestCase
TestIdentityOnPostgres.settings = FEW_EXAMPLES
