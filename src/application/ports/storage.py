"""Whatever keeps users, sessions and orders."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable
from typing import Protocol

from ordergate.application.ports.archive import Archive
from ordergate.application.ports.orders import OrderRepository, StaffOrders
from ordergate.application.ports.sessions import SessionRepository
from ordergate.application.ports.users import UserRepository
from ordergate.domain.order import Order
from ordergate.domain.user import User


class BulkLoader(Protocol):
    """Load many users and orders with their own ids."""

    @abstractmethod
    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        """Store all in one transaction, reading both once and in turn; users come first.

        An order is named by its owner and its id together. Nothing is stored when anything fails,
        be it in the iterables. Raises `StorageNotEmpty` when any user or order is there already,
        ValueError for a user's name or id or an order given twice and for an order without its
        owner, and `StorageUnavailable`.
        """


class Storage(Protocol):
    """Whatever keeps users, sessions and orders: its repositories, and its life."""

    users: UserRepository
    sessions: SessionRepository
    orders: OrderRepository
    staff_orders: StaffOrders
    loader: BulkLoader
    archive: Archive

    @abstractmethod
    async def migrate(self) -> None:
        """Bring the schema to this program's version; safe to run twice or in parallel.

        Commands run it before anything is served.
        Raises `StorageUnavailable`, and `SchemaNotCurrent` for a schema newer than this program.
        """

    @abstractmethod
    async def open(self, *, unfinished: bool = False) -> None:
        """Get ready to serve. Raises `SchemaNotCurrent` or `StorageUnavailable`.

        Raises `CopyUnfinished` while `archive` has a checkpoint, unless that is expected.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let everything go; may be called twice, and without `open`."""

    @abstractmethod
    async def ping(self) -> None:
        """Ask the storage for a sign of life. Raises `StorageUnavailable`."""

    @abstractmethod
    async def get_secret(self) -> bytes:
        """Return 32 random bytes that all hosts of this storage share, drawn when it was made.

        Nothing is signed or sealed with the secret itself; `get_purpose_key` derives keys from it.
        """

    def identity(self) -> Hashable:
        """Return what tells this storage from another that took its place while it was open.

        As long as it is the same, so are the secret, the ids of accounts, and what is known of
        sessions. It changes at the first use of the other, which raises `StorageUnavailable`. It is
        called at every request.
        """
        return None
