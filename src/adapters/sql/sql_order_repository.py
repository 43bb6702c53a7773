"""Orders in SQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, select
from sqlmodel import col

from adapters.sql.sqlite_database import SqliteDatabase
from adapters.sql.tables import OrderLineRow, OrderRow
from application.ports.storage import OrderRepository
from domain.money import Money
from domain.order import Order, OrderId, OrderLine, OrderStatus
from domain.user import UserId

OWNED = (
    select(
        col(OrderRow.status),
        col(OrderRow.placed_at),
        col(OrderRow.currency),
        col(OrderLineRow.sku),
        col(OrderLineRow.name),
        col(OrderLineRow.quantity),
        col(OrderLineRow.unit_price),
    )
    .join(
        OrderLineRow,
        (col(OrderLineRow.owner_id) == OrderRow.owner_id)
        & (col(OrderLineRow.order_id) == OrderRow.id),
    )
    .where(col(OrderRow.owner_id) == bindparam("owner"), col(OrderRow.id) == bindparam("order_id"))
    .order_by(col(OrderLineRow.position))
)
"""One row a line of the order; none where there is no such order of that owner."""


class SqlOrderRepository(OrderRepository):
    """The tables `orders` and `order_lines`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        """Read the order and its lines in one SELECT with both keys in its WHERE."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                OWNED, {"owner": owner, "order_id": order_id}
            ).all()
        )
        try:
            return _order(order_id, owner, rows) if rows else None
        except ValueError as error:
            raise RuntimeError("a stored order breaks a rule of orders") from error


def _order(order_id: OrderId, owner: UserId, rows: Sequence[tuple[Any, ...]]) -> Order:
    status, placed_at, currency = rows[0][:3]
    return Order(
        id=order_id,
        owner=owner,
        status=OrderStatus(status),
        placed_at=placed_at,
        lines=tuple(
            OrderLine(sku, name, quantity, Money(unit_price, currency))
            for *_, sku, name, quantity, unit_price in rows
        ),
    )
