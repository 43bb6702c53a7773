"""Orders and idempotency keys."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from ordergate.application.errors import OrderIdTaken
from ordergate.application.ports.archive import AccountKind, KeyRecord
from ordergate.application.ports.orders import (
    IdempotencyKey,
    OrderQuery,
    OrderRepository,
    StaffOrders,
)
from ordergate.domain.order import Order, OrderId
from ordergate.domain.user import UserId

from .database import LmdbDatabase
from .keys import (
    BEGINNING,
    account_key,
    encode_newest_first,
    encode_number,
    encode_time,
    list_prefix,
    order_key,
    wish_key,
)
from .records import ACCOUNTS, KEYS, ORDERS
from .transactions import Transaction


class LmdbOrderRepository(OrderRepository):
    """Orders by owner and id, with lists of each owner's."""

    def __init__(self, database: LmdbDatabase) -> None:
        self._database = database

    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        """Look the key up."""
        return self._database.read(lambda view: ORDERS.get(view, order_key(owner, order_id)))

    async def list_owned(self, query: OrderQuery, *, owner: UserId) -> Sequence[Order]:
        """Read a list from behind the position on."""
        prefix = list_prefix(owner, query.status)
        before = query.before
        start = encode_newest_first(before.placed_at, before.id) + b"\0" if before else b""
        end = encode_newest_first(query.since or BEGINNING, 0)
        return self._database.read(
            lambda view: ORDERS.along(view, prefix, start=start, end=end, limit=query.limit)
        )

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        """Write the order and its key, if neither stands for another."""
        if order.owner != owner:
            raise ValueError("the order has another owner")

        def work(view: Transaction) -> Order | None:
            account = ACCOUNTS.get(view, account_key(owner))
            if account is None or account.kind is AccountKind.CLOSED:
                return None
            known = KEYS.get(view, wish_key(owner, key.value)) if key else None
            if known and known.key.expires_at > order.placed_at:
                return ORDERS.get(view, order_key(owner, known.order_id))
            there = ORDERS.get(view, order_key(owner, order.id))
            if there is not None:
                if there.as_placed != order.as_placed:
                    raise OrderIdTaken
                return there
            ORDERS.put(view, order)
            if key:
                KEYS.put(view, KeyRecord(owner, key, order.id))
            return order

        return await self._database.write(work)

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        """Write the order again."""

        def work(view: Transaction) -> Order | None:
            order = ORDERS.get(view, order_key(owner, order_id))
            if order is None:
                return None
            changed = change(order)
            changed = replace(order, status=changed.status, version=changed.version)
            ORDERS.put(view, changed)
            return changed

        return await self._database.write(work)

    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        """Read up to a time, and remove."""

        def work(view: Transaction) -> int:
            expired = KEYS.along(view, b"k", end=encode_time(expired_by), limit=limit)
            for wish in expired:
                KEYS.delete(view, wish)
            return len(expired)

        return await self._database.write(work)


class LmdbStaffOrders(StaffOrders):
    """Keys by order id that lead to each owner's."""

    def __init__(self, database: LmdbDatabase) -> None:
        self._database = database

    async def list_owners(self, order_id: OrderId) -> Sequence[UserId]:
        """Follow the id."""
        found = self._database.read(lambda view: ORDERS.along(view, b"d" + encode_number(order_id)))
        return [order.owner for order in found]
