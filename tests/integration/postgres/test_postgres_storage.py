"""The contract on PostgreSQL."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager

import asyncpg
import pytest
from hypothesis import settings
from sqlalchemy import Connection, text

from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.ports.storage import Storage
from tests.contracts.identity_contract import STATEFUL, IdentityMachine
from tests.contracts.storage_contract import WholeStorageContract
from tests.support.fault_injection import Failure
from tests.support.fault_injection_sql import failing_statements
from tests.support.postgres import Databases, database_at

POOLED_URL = os.environ.get("ORDERGATE_TEST_PGBOUNCER")
"""A migrated database through a pooler, whose role has the settings; what it has is removed."""


@pytest.fixture(scope="module", params=["direct", "pooled"] if POOLED_URL else ["direct"])
def url(request: pytest.FixtureRequest, postgres_databases: Databases) -> Iterator[str]:
    """Return one database for all; emptying it is faster than making another."""
    if POOLED_URL and request.param == "pooled":
        yield POOLED_URL
        return
    url = postgres_databases.create(migrated=True)
    yield url
    postgres_databases.drop(url)


def open_database(url: str) -> PostgresDatabase:
    return database_at(url, sends_settings=url != POOLED_URL)


@pytest.fixture
async def database(url: str) -> AsyncIterator[PostgresDatabase]:
    database = open_database(url)
    await database.write(truncate)
    yield database
    await database.close()


def truncate(connection: Connection) -> None:
    connection.execute(
        text(
            "TRUNCATE idempotency_keys, order_lines, orders, external_subjects,"
            " refresh_tokens, sessions, users, copies RESTART IDENTITY"
        )
    )


class TestPostgresStorage(WholeStorageContract):
    @pytest.fixture
    async def storage(self, database: PostgresDatabase, url: str) -> AsyncIterator[Storage]:
        self.database, self.url = database, url
        storage = SqlStorage(database)
        await storage.open()
        yield storage
        await storage.close()

    def another(self, storage: Storage) -> Storage:
        return SqlStorage(open_database(self.url))

    def fail_at(self, storage: Storage, failure: Failure) -> AbstractContextManager[None]:
        return failing_statements(failure, asyncpg.DiskFullError("failed by a test"))

    def conflict_at(self, storage: Storage, failure: Failure) -> AbstractContextManager[None]:
        return failing_statements(failure, asyncpg.SerializationError("failed by a test"))

    async def empty(self, storage: Storage) -> None:
        await self.database.write(truncate)


@pytest.fixture(scope="module", autouse=True)
def _databases(request: pytest.FixtureRequest) -> None:
    PostgresIdentity.databases = request.getfixturevalue("postgres_databases")


class PostgresIdentity(IdentityMachine):
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


TestIdentityOnPostgres = PostgresIdentity.TestCase
# Each example needs a database and each step a round trip, so there are fewer examples.
TestIdentityOnPostgres.settings = settings(STATEFUL, max_examples=3)
