"""Orders: one port for their owners, another for staff."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The owner's name for one attempt to place an order.

    It has 1 to 255 printable ASCII characters, and belongs to that order until `expires_at`.
    """

    value: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """A position in an owner's orders, sorted by time and id."""

    placed_at: datetime
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderQuery:
    """At most `limit` orders of a status, placed at `since` or later, before a position.

    A condition of `None` omits nothing.
    """

    limit: int
    status: OrderStatus | None = None
    since: datetime | None = None
    before: Position | None = None


class OrderRepository(Protocol):
    """Orders of an owner. Every query carries the owner.

    Every method may raise `StorageUnavailable`, and methods that return one order
    `RecordUnreadable`. No rule of the domain is applied to stored orders.
    """

    @abstractmethod
    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        """Return the order if the owner has it."""

    @abstractmethod
    async def list_owned(self, query: OrderQuery, *, owner: UserId) -> Sequence[Order]:
        """Return the owner's orders that match a query, newest first.

        The cost depends on the result and not on the position. An unreadable order is logged and
        omitted, and the page is filled with others. Fewer than `limit` orders are therefore the
        last ones.
        """

    @abstractmethod
    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        """Store an order of the owner and its key, and return it.

        If the key belongs to an order at the time of the new one, this order is returned in its
        current state and nothing is stored. Of many parallel attempts, one stores. An expired key
        may be used again. The method is idempotent: adding a stored order again returns its current
        state, so an attempt with an unknown outcome can be retried. Returns `None` if the account
        does not exist or is closed; `SeparateOrders` has a rule of its own.

        Raises `OrderIdTaken` if the owner has another order with this id, and ValueError for an
        order of another user.
        """

    @abstractmethod
    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        """Replace status and version of an order by those that `change` returns.

        Reading and writing are one transaction. Returns the new order, or `None` if the owner has
        none. Errors of `change` are passed on, and nothing is changed. `change` may be called
        again.
        """

    @abstractmethod
    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        """Remove up to `limit` expired idempotency keys and return their number."""


class StaffOrders(Protocol):
    """Orders for staff, by id only. Raises `StorageUnavailable`."""

    @abstractmethod
    async def owners_of(self, order_id: OrderId) -> Sequence[UserId]:
        """Return all users with an order of this id, rarely more than one.

        This is the only query without an owner. Later queries carry the owner again.
        """
