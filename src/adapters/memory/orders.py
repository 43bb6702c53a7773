"""In-memory order, staff and bulk-load adapters."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from ordergate.adapters.memory.tables import Tables
from ordergate.application.errors import OrderIdTaken, StorageNotEmpty
from ordergate.application.ports.orders import (
    IdempotencyKey,
    OrderQuery,
    OrderRepository,
    StaffOrders,
)
from ordergate.application.ports.storage import BulkLoader
from ordergate.domain.order import Order, OrderId
from ordergate.domain.user import User, UserId


class InMemoryOrderRepository(OrderRepository):
    """Orders by owner and id: the owner is part of the key."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        """Look up the key."""
        return self._tables.orders.get((owner, order_id))

    async def list_owned(self, query: OrderQuery, *, owner: UserId) -> Sequence[Order]:
        """Filter and sort all orders."""
        orders = [
            order
            for order in self._tables.orders.values()
            if order.owner == owner
            and query.status in {None, order.status}
            and (query.since is None or order.placed_at >= query.since)
            and (query.before is None or _place(order) < (query.before.placed_at, query.before.id))
        ]
        return sorted(orders, key=_place, reverse=True)[: query.limit]

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        """Store an order and its key, or return the key's order."""
        tables = self._tables
        if order.owner != owner:
            raise ValueError("the order has another owner")
        if owner not in tables.users and owner not in tables.external:
            return None
        if key and (entry := tables.keys.get((owner, key.value))):
            order_id, expires_at = entry
            if expires_at > order.placed_at:
                return tables.orders[owner, order_id]
        there = tables.orders.setdefault((owner, order.id), order)
        if there.as_placed != order.as_placed:
            raise OrderIdTaken
        if key and there is order:
            tables.keys[owner, key.value] = (order.id, key.expires_at)
        return there

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        """Replace the order under its key."""
        order = self._tables.orders.get((owner, order_id))
        if order is None:
            return None
        changed = change(order)
        changed = replace(order, status=changed.status, version=changed.version)
        self._tables.orders[owner, order_id] = changed
        return changed

    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        """Scan all keys."""
        keys = self._tables.keys
        expired = [key for key, (_, expires_at) in keys.items() if expires_at <= expired_by]
        for key in expired[:limit]:
            del keys[key]
        return len(expired[:limit])


def _place(order: Order) -> tuple[datetime, OrderId]:
    return order.placed_at, order.id


class InMemoryStaffOrders(StaffOrders):
    """The orders of the same tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def list_owners(self, order_id: OrderId) -> Sequence[UserId]:
        """Scan all orders."""
        return [owner for owner, each in self._tables.orders if each == order_id]


class InMemoryBulkLoader(BulkLoader):
    """Reads everything before it stores anything, so a failure stores nothing."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        """Fill both dictionaries."""
        tables = self._tables
        if not tables.is_empty:
            raise StorageNotEmpty
        all_users = list(users)
        all_orders = list(orders)
        new_users = {user.id: user for user in all_users}
        new_orders = {(order.owner, order.id): order for order in all_orders}
        names = {user.username for user in all_users}
        if not len(new_users) == len(names) == len(all_users) or len(new_orders) < len(all_orders):
            raise ValueError("a user or an order is given twice")
        if not new_users.keys() >= {order.owner for order in all_orders}:
            raise ValueError("an order is without its owner")
        self._tables.users.update(new_users)
        self._tables.orders.update(new_orders)
