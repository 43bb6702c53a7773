"""The storage of users, sessions and orders."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from ordergate.application.ports.archive import Archive
from ordergate.application.ports.orders import OrderRepository, StaffOrders
from ordergate.application.ports.sessions import SessionRepository
from ordergate.application.ports.users import UserRepository
from ordergate.domain.order import Order
from ordergate.domain.user import User, UserId


class BulkLoader(Protocol):
    """Loads many users and orders with their own ids."""

    @abstractmethod
    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        """Store all in one transaction; users come first.

        Both iterables are read once, one after the other. An order is identified by its owner and
        its id. A failure, also of an iterable, stores nothing.

        Raises:
            StorageNotEmpty: the storage has users or orders.
            StorageUnavailable: the storage is unreachable.
            ValueError: a name, an id or an order is repeated, or an order has no owner.
        """


class Storage(Protocol):
    """The repositories of one database, and its life cycle.

    `loader` and `archive` are optional: a storage without them can be served, and a command that
    needs one raises `MissingCapability`.
    """

    users: UserRepository
    sessions: SessionRepository
    orders: OrderRepository
    staff_orders: StaffOrders
    loader: BulkLoader | None = None
    archive: Archive | None = None

    @abstractmethod
    async def migrate(self) -> None:
        """Create or update the schema.

        This is safe to repeat and to run in parallel.

        Commands run it before the storage is served. Raises `StorageUnavailable`, and
        `SchemaNotCurrent` for a newer schema.
        """

    @abstractmethod
    async def open(self, *, unfinished: bool = False) -> None:
        """Open the storage to serve.

        Raises:
            SchemaNotCurrent: the schema is missing or of another version.
            CopyUnfinished: the archive has a checkpoint, and `unfinished` is false.
            StorageUnavailable: the storage is unreachable.
        """

    @abstractmethod
    async def close(self) -> None:
        """Release all resources; may be called twice, and without `open`."""

    @abstractmethod
    async def ping(self) -> None:
        """Check the connection. Raises `StorageUnavailable`."""

    @abstractmethod
    async def get_secret(self) -> bytes:
        """Return 32 random bytes that all hosts of this storage share.

        The storage draws them when it is created. Nothing is signed or sealed with the secret
        itself; `PurposeKeys` derives keys from it.
        """

    def identity(self) -> Hashable:
        """Return a value that changes when another storage replaces this one.

        While it is equal, the secret, the ids of accounts and the ended sessions stay valid. It
        changes at the first use of the replacement, which raises `StorageUnavailable`. It is called
        at every request.
        """
        return None


@runtime_checkable
class SeparateOrders(OrderRepository, StaffOrders, Protocol):
    """All orders, in another store than the accounts: `Container(orders=...)` takes one.

    It does not know which accounts exist. `add` accepts an order of any owner, except where
    `refuse_orders` says otherwise. An owner is always the account of a valid access token.
    """

    @abstractmethod
    async def refuse_orders(self, owner: UserId, *, until: datetime) -> None:
        """Refuse orders of an owner whose account is about to be closed.

        From now on `add` returns `None` for each order of that owner with `placed_at` before
        `until`, also under a key that stands for an order. A later `until` replaces an earlier
        one. The check and the refusal are one step: of `add` and `refuse_orders` in parallel, one
        takes effect first and the other sees it.

        Raises `AccountHasOpenOrders`, and refuses nothing, while an order of the owner is open.
        """

    @abstractmethod
    async def ping(self) -> None:
        """Check that the store answers. Raises `StorageUnavailable`."""

    @abstractmethod
    async def close(self) -> None:
        """Release all connections; may be called twice, and before the first use."""


@dataclass(frozen=True, slots=True)
class StorageFacts:
    """The properties of a storage that answers.

    `product` is its name and version, and `details` are further properties by name. `round_trip` is
    the time of a small query in seconds. `clock_ahead` is the lead of the storage's clock over that
    of this process, in seconds; `None` for one clock. `max_connections` is what a server permits to
    this account; `None` sets no limit. `risk` says what several writing processes risk with this
    version. `schema_error` says why the storage cannot be served; `None` for a current schema.
    """

    product: str
    round_trip: float
    details: Mapping[str, str] = field(default_factory=dict)
    clock_ahead: float | None = None
    max_connections: int | None = None
    risk: str | None = None
    schema_error: str | None = None


@runtime_checkable
class StorageInspector(Protocol):
    """A storage that describes itself to operators."""

    @abstractmethod
    async def inspect(self) -> StorageFacts:
        """Return the properties, also before `open`; change nothing.

        Raises:
            SchemaNotCurrent: there is no database.
            StorageUnavailable: the storage is unreachable.
        """


class ConnectionLoad(NamedTuple):
    """The connections to a database server, and the jobs that wait.

    `waiting` jobs have no connection because all are in use. `writes_waiting` wait for other
    writes, while connections may be free for reads.
    """

    limit: int
    in_use: int
    waiting: int
    writes_waiting: int


@runtime_checkable
class PoolInspector(Protocol):
    """A storage that states the load of its connections to operators."""

    @abstractmethod
    def count_connections(self) -> ConnectionLoad | None:
        """Count connections and waiting jobs, without work; called once a second.

        `None` is a storage without a pool.
        """


class ServerWork(NamedTuple):
    """Totals of what a storage has sent to its database server.

    `round_trips` are statements, BEGIN and COMMIT. `repetitions` are reads and writes that ran
    again after a conflict or a lost connection.
    """

    round_trips: int
    repetitions: int


@runtime_checkable
class ServerInspector(Protocol):
    """A storage that counts its work on a database server for operators."""

    @abstractmethod
    def count_work(self) -> ServerWork | None:
        """Return both totals, without work; called once a second.

        `None` is a storage without a server. The first call may begin the count.
        """


@runtime_checkable
class ReadCopyInspector(Protocol):
    """A storage that may read orders from a copy of itself."""

    @abstractmethod
    async def time_read_copy(self) -> float | None:
        """Return the seconds of a round trip to the copy, if any.

        Raises `StorageUnavailable` for a copy that cannot be used.
        """


class GroupCommits(NamedTuple):
    """The commits of a storage that stores waiting writes together.

    `sizes[n]` is the number of commits with `n` writes since the storage was made. `waiting` writes
    are in none yet.
    """

    sizes: Sequence[int]
    waiting: int


@runtime_checkable
class GroupCommitInspector(Protocol):
    """A storage that counts its group commits for operators."""

    @abstractmethod
    def count_commits(self) -> GroupCommits | None:
        """Count commits and waiting writes, without work; called once a second.

        `None` is a storage that commits each write alone.
        """
