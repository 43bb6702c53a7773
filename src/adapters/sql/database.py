"""What the repositories need of a SQL engine."""

from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Insert, Select

T = TypeVar("T")
Rows = Sequence[Sequence[Any]]
"""Rows by the place of their columns, each value as SQLAlchemy's type of the column makes it."""
Values = dict[str, Any]
"""Values of a statement by name."""


class Database(Protocol):
    """A SQL engine, opened for one process.

    Work is handed a connection and runs wherever that suits the engine: it waits for nothing but
    the database. What the engine reports is raised as `StorageUnavailable`, but for a broken
    constraint, which is SQLAlchemy's `IntegrityError`. `str` of it says where it is, in messages.
    """

    @abstractmethod
    async def read(
        self, work: Callable[[Connection], T], *, large: bool = False, shared: bool = False
    ) -> T:
        """Run one statement that reads, outside any transaction.

        A `large` one may find thousands of rows: it runs outside the event loop where the engine is
        in this process, and so does the conversion of the rows, which is part of the work. All
        requests wait for a `shared` one: it may be as large, and never queues behind a read or a
        write that is not shared.
        """

    def identity(self) -> Hashable:
        """Return what tells the open database from another that took its place.

        It changes at the first use of the other, which raises `StorageUnavailable`.
        """
        return None

    @abstractmethod
    async def examine(self, work: Callable[[Connection], T]) -> T:
        """Run statements that only read, in a database that may be another program's.

        They see one snapshot, which a migration by another process does not change. Nothing of
        the database changes, not even how it keeps its journal.
        """

    async def rows(self, query: Select[Any], values: Values) -> Rows:
        """Read the few rows of a query that is made once."""
        return await self.read(lambda connection: self.run(connection, query, values))

    def run(self, connection: Connection, statement: Select[Any] | Insert, *each: Values) -> Rows:
        """Run a statement that is made once with each of the values, for a work of this database.

        Returns the few rows of a SELECT. An INSERT has a value for every column. Raises
        the driver's errors unchanged; `read` and `write` translate them.
        """
        result = connection.execute(statement, each)
        return result.all() if result.returns_rows else ()

    @abstractmethod
    async def write(self, work: Callable[[Connection], T], *, repeatable: bool = False) -> T:
        """Run a transaction and commit it; roll back when the work raises.

        The work may run several times, one of which counts. `repeatable` work may even run again
        after it was committed, where the engine did not say whether it was.
        """

    async def confirmed(self, work: Callable[[Connection], T | None]) -> T | None:
        """Read what is about to be answered as done, and wait until it cannot be lost any more.

        What is visible may still be lost where a standby takes over. Finding `None` waits for
        nothing. Raises `OutcomeUnknown` when the engine did not confirm it.
        """
        return await self.read(work)

    @abstractmethod
    async def migrate(self, work: Callable[[Connection], None]) -> None:
        """Run a transaction that no other migration runs beside; the database is made if need be.

        `read` and `write` need not work before.
        """

    @abstractmethod
    async def exists(self) -> bool:
        """Say whether there is a database to read from."""

    @abstractmethod
    async def check(self) -> None:
        """Raise `StorageUnavailable` if the open database is not the one to use any more."""

    @abstractmethod
    async def close(self) -> None:
        """Wait for what is under way and let everything go; may be called twice."""
