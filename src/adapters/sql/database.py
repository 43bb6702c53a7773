"""The SQL engine that the repositories use."""

from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from sqlalchemy import Connection, Insert, Select

from ordergate.application.ports.sessions import NewSession, TokenExchange
from ordergate.application.ports.storage import (
    ConnectionLoad,
    GroupCommits,
    ServerWork,
    StorageFacts,
)
from ordergate.domain.session import SessionId

T = TypeVar("T")
Rows = Sequence[Sequence[Any]]
"""Rows with values in the order of their columns, converted by SQLAlchemy's types."""
Ended = Sequence[SessionId] | None
"""Ended sessions; `None` where the new one did not start."""
Values = dict[str, Any]
"""Values of a statement by name."""
NO_OWNER = 0
"""The owner of writes that concern all accounts; ids begin at 1."""


class Reader(Protocol):
    """Reads committed rows, each time by one statement outside any transaction."""

    @abstractmethod
    async def read(
        self, work: Callable[[Connection], T], *, large: bool = False, shared: bool = False
    ) -> T:
        """Run one reading statement.

        A `large` statement may find thousands of rows. It runs outside the event loop if the engine
        is in this process, and so does the conversion of its rows. All requests wait for a `shared`
        statement; it may be as large, and never queues behind reads or writes that are not shared.
        """

    @abstractmethod
    async def rows(self, query: Select[Any], values: Values) -> Rows:
        """Return the few rows of a query that runs once."""

    @abstractmethod
    async def close(self) -> None:
        """Finish open jobs and release all resources; may be called twice."""


class CheckedReader(Reader, Protocol):
    """Reads from a copy of a database where a request permits it."""

    @abstractmethod
    async def time_copy(self) -> float:
        """Read from the copy alone; return the seconds of a round trip.

        Raises `StorageUnavailable` for a copy that cannot be used.
        """


class Database(Reader, Protocol):
    """A SQL engine, opened for one process.

    Jobs receive a connection, run where it suits the engine, and wait for nothing but the database.
    Errors of the engine become `StorageUnavailable`, except a violated constraint, which is
    SQLAlchemy's `IntegrityError`. `str` names the database in messages.
    """

    def identity(self) -> Hashable:
        """Return a value that changes when another database replaces the open one.

        It changes at the first use of the replacement, which raises `StorageUnavailable`.
        """
        return None

    @abstractmethod
    async def examine(self, work: Callable[[Connection], T]) -> T:
        """Run reading statements in a database of unknown origin.

        They see one snapshot, unaffected by parallel migrations. They change nothing in the
        database, not even its journal mode.
        """

    async def rows(self, query: Select[Any], values: Values) -> Rows:
        """Return the few rows of a query that runs once."""
        return await self.read(lambda connection: self.run(connection, query, values))

    def run(self, connection: Connection, statement: Select[Any] | Insert, *each: Values) -> Rows:
        """Run a statement with each of the values, for a job.

        Returns the few rows of a SELECT. An INSERT has a value for every column. Raises driver
        errors unchanged; `read` and `write` translate them.
        """
        result = connection.execute(statement, each)
        return result.all() if result.returns_rows else ()

    @abstractmethod
    async def write(self, work: Callable[[Connection], T], *, repeatable: bool = False) -> T:
        """Run and commit a transaction; roll back after an error.

        The job may run several times, and one run counts. `repeatable` jobs may also run again
        after a COMMIT with an unknown outcome.
        """

    def take_turn(self, connection: Connection, owner: int) -> None:
        """Let two writes of an owner conflict where row locks do not.

        An engine whose row locks hold for all processes does nothing.
        """
        del connection, owner

    async def confirmed(self, work: Callable[[Connection], T | None]) -> T | None:
        """Read an earlier result, and wait until it cannot be lost.

        Visible data may still be lost in a failover. A result of `None` needs no wait. Raises
        `OutcomeUnknown` when the engine does not confirm it.
        """
        return await self.read(work)

    @abstractmethod
    async def migrate(self, work: Callable[[Connection], None]) -> None:
        """Run a migration exclusively; create the database if necessary.

        `read` and `write` may fail before.
        """

    async def find_schema_error(self) -> str | None:
        """Describe what the engine finds wrong with current tables."""
        return None

    @abstractmethod
    async def inspect(self) -> StorageFacts:
        """Return the properties of an existing database; change nothing."""

    @abstractmethod
    async def exists(self) -> bool:
        """Report whether the database exists."""

    @abstractmethod
    async def check(self) -> None:
        """Raise `StorageUnavailable` if the open database was replaced."""

    def count_connections(self) -> ConnectionLoad | None:
        """Count connections and waiting jobs; `None` without a pool."""
        return None

    def count_work(self) -> ServerWork | None:
        """Return totals since the first call; `None` without a server."""
        return None

    def count_commits(self) -> GroupCommits | None:
        """Count group commits and waiting writes; `None` without such commits."""
        return None


class OrderRows(NamedTuple):
    """The rows of an order, its lines, and its key if any."""

    order: Values
    lines: Sequence[Values]
    key: Values | None


@runtime_checkable
class OrderWriter(Protocol):
    """A SQL engine with a statement for each change of an order.

    The statement locks the owner. If it changes nothing, or violates a constraint, the engine runs
    the transaction `otherwise` in the same job, and returns its result.
    """

    @abstractmethod
    async def insert_order(
        self, rows: OrderRows, *, placed: T, otherwise: Callable[[Connection], T]
    ) -> T:
        """Insert the rows of an order.

        Returns `placed`. The job is repeatable. The statement changes nothing when the account is
        closed or has the key.
        """

    @abstractmethod
    async def update_order(
        self, before: Values, after: Values, *, changed: T, otherwise: Callable[[Connection], T]
    ) -> T:
        """Update the row of an order if it is as it was.

        Returns `changed`.
        """


@runtime_checkable
class SessionWriter(Protocol):
    """A SQL engine with a statement for each change of a session.

    One statement starts a session. Another rotates its token. If it changes nothing, the engine
    runs the transaction `otherwise` in the same job, and returns its result.
    """

    @abstractmethod
    async def start_session(
        self, new: NewSession, *, limit: int, otherwise: Callable[[Connection], Ended]
    ) -> Ended:
        """Start a session, as `SessionRepository.start` describes."""

    @abstractmethod
    async def rotate_token(
        self, exchange: TokenExchange, *, rotated: T, otherwise: Callable[[Connection], T]
    ) -> T:
        """Replace an unused token, and return `rotated`."""
