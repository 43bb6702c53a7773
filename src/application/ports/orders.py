"""Orders: their owners reach them one way, and staff another."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What the owner calls one wish to place an order: 1 to 255 printable ASCII characters.

    It stands for that order until `expires_at`.
    """

    value: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the list of an owner's orders, which is sorted by time and then by id."""

    placed_at: datetime
    id: int


class OrderRepository(Protocol):
    """Orders, each reached through its owner only: every query itself carries the owner.

    Raises `StorageUnavailable` from any method, and `RecordUnreadable` from those that return one
    order. No rule of the domain is applied to what is read.
    """

    @abstractmethod
    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        """Return the order if it exists and is the owner's."""

    @abstractmethod
    async def page(
        self,
        *,
        owner: UserId,
        status: OrderStatus | None = None,
        since: datetime | None = None,
        before: Position | None = None,
        limit: int,
    ) -> Sequence[Order]:
        """Return the owner's orders that stand before a position, or all of them, newest first.

        No more than `limit`; of `status` alone, and placed at `since` or later. The cost depends on
        what is returned, not on where it stands. An order that cannot be read is named in the log
        and left out; others take its place, so that fewer than `limit` are the last.
        """

    @abstractmethod
    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        """Store an order of the owner's and its key in one step, and return it.

        With a key that stands for an order already, at the time the new one is placed, that order
        is returned as it is now, and nothing is stored; of many parallel attempts, one stores. A
        key that has expired by then may be used again. Adding an order that is already stored
        changes nothing and returns its current state, so an attempt with an unknown outcome can be
        retried. Returns `None`, and stores nothing, when the owner's account does not exist or is
        closed.

        Raises `OrderIdTaken` when the owner has another order of that id, and ValueError for an
        order of somebody else.
        """

    @abstractmethod
    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        """Replace status and version of the owner's order by those that `change` makes of it.

        Nothing comes between reading and writing. Returns the new order, or `None` when there is
        none; what `change` raises is passed on, and nothing is changed. It may be called again.
        """

    @abstractmethod
    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        """Remove up to `limit` idempotency keys that have expired, and return how many it were."""


class StaffOrders(Protocol):
    """Orders as staff look for them, by id alone. Raises `StorageUnavailable`."""

    @abstractmethod
    async def owners_of(self, order_id: OrderId) -> Sequence[UserId]:
        """Return everybody who has an order of that id: rarely more than one, since ids are drawn.

        The only query without an owner; what is done with the order then carries the owner again.
        """
