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
    """The `Idempotency-Key` of an owner, of 1 to 255 printable ASCII characters.

    Requests of one owner with the same key place one order until `expires_at`.
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
    """A selection of at most `limit` orders.

    `status`, `since` (inclusive) and `before` (exclusive) restrict it; `None` is no restriction.
    """

    limit: int
    status: OrderStatus | None = None
    since: datetime | None = None
    before: Position | None = None


class OrderRepository(Protocol):
    """Orders of an owner. Every query carries the owner.

    Every method may raise `StorageUnavailable`. Methods that return one order may also raise
    `RecordUnreadable`. The repository does not check stored orders against domain rules.
    """

    @abstractmethod
    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        """Return the order if the owner has it."""

    @abstractmethod
    async def list_owned(self, query: OrderQuery, *, owner: UserId) -> Sequence[Order]:
        """Return the owner's orders that match a query, newest first.

        The cost depends on the number of returned orders, not on `before`. The method logs and
        skips an unreadable order, and returns the next order instead. A result with fewer than
        `limit` orders is the last page.
        """

    @abstractmethod
    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        """Store an order of the owner and its key, and return it.

        If `key` is stored and has not expired at `order.placed_at`, the method returns the order
        of the key in its current state, and stores nothing. Of several parallel calls with one key,
        exactly one stores an order. A call with a stored order returns its current state, so a call
        with an unknown outcome can be retried. Returns `None` if the account does not exist or is
        closed. In `SeparateOrders`, it returns `None` after `refuse_orders`.

        Raises `OrderIdTaken` if the owner has another order with this id, and ValueError for an
        order of another user.
        """

    @abstractmethod
    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        """Apply `change` to an order and store the result, as one step.

        Only the status and the version are stored. Returns the changed order, or `None` if the
        owner has no such order. After an exception of `change` nothing is stored. The adapter
        may call `change` again when it retries, or when the order has changed meanwhile.
        """

    @abstractmethod
    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        """Remove up to `limit` expired idempotency keys and return their number."""


class StaffOrders(Protocol):
    """Orders for staff, by id only. Raises `StorageUnavailable`."""

    @abstractmethod
    async def list_owners(self, order_id: OrderId) -> Sequence[UserId]:
        """Return all users with an order of this id, rarely several.

        This is the only query without an owner. Later queries carry the owner again.
        """
