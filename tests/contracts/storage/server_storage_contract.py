"""The storage contract for an engine on a server."""

from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Protocol

import pytest
from hypothesis import settings
from sqlalchemy import Connection

from ordergate.adapters.sql.database import Database
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.ports.storage import Storage
from tests.contracts.storage.identity_contract import STATEFUL, IdentityMachine
from tests.contracts.storage.storage_contract import WholeStorageContract
from tests.support.storage.fault_injection import Failure
from tests.support.storage.fault_injection_sql import failing_statements


class ServerStorageContract(WholeStorageContract):
    """The storage contract on one database, which each test empties.

    Emptying it is faster than making another. The module has a fixture `url`.
    """

    @abstractmethod
    def make_failure(self) -> Exception:
        """Return an error of the driver that ends a statement."""

    @abstractmethod
    def make_conflict(self) -> Exception:
        """Return an error of the driver after which a transaction is repeated."""

    @abstractmethod
    def open_database(self, url: str) -> Database:
        """Return the adapter of a database."""

    @abstractmethod
    def remove_all(self, connection: Connection) -> None:
        """Remove all rows, and begin the ids of accounts again."""

    @pytest.fixture
    async def storage(self, url: str) -> AsyncIterator[Storage]:
        self.url, self.database = url, self.open_database(url)
        await self.database.write(self.remove_all)
        storage = SqlStorage(self.database)
        await storage.open()
        yield storage
        await storage.close()

    def another(self, storage: Storage) -> Storage:
        return SqlStorage(self.open_database(self.url))

    def fail_at(self, storage: Storage, failure: Failure) -> AbstractContextManager[None]:
        return failing_statements(failure, self.make_failure())

    def conflict_at(self, storage: Storage, failure: Failure) -> AbstractContextManager[None]:
        return failing_statements(failure, self.make_conflict())

    async def empty(self, storage: Storage) -> None:
        await self.database.write(self.remove_all)


class Databases(Protocol):
    """What makes and removes the databases of an engine."""

    def create(self, *, migrated: bool = False) -> str:
        """Make a database; return its URL."""

    def drop(self, url: str) -> None:
        """Remove a database."""


class ServerIdentityMachine(IdentityMachine):
    """Each example has a database of its own."""

    databases: Databases

    @abstractmethod
    def open_database(self, url: str) -> Database:
        """Return the adapter of a database."""

    def storage(self) -> Storage:
        self.url = self.databases.create(migrated=True)
        self.stored = SqlStorage(self.open_database(self.url))
        self.run(self.stored.open())
        return self.stored

    def teardown(self) -> None:
        self.run(self.stored.close())
        super().teardown()
        self.databases.drop(self.url)


FEW_EXAMPLES = settings(STATEFUL, max_examples=3)
"""For `ServerIdentityMachine`: an example needs a database, and a step a round trip."""
