"""List one's own orders, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from application.ports.orders import OrderRepository, Position
from domain.order import Order, OrderStatus
from domain.user import UserId


@dataclass(frozen=True, slots=True)
class Page:
    """Orders, and the position that the next page stands before; `None` on the last page."""

    orders: Sequence[Order]
    next: Position | None


@dataclass(frozen=True, slots=True)
class ListOwnOrders:
    """Return up to `limit` orders of the owner's that stand before a position, newest first.

    Of `status` alone, and placed at `since` or later.
    """

    orders: OrderRepository

    async def __call__(
        self,
        *,
        owner: UserId,
        status: OrderStatus | None = None,
        since: datetime | None = None,
        before: Position | None = None,
        limit: int,
    ) -> Page:
        found = await self.orders.page(
            owner=owner, status=status, since=since, before=before, limit=limit + 1
        )
        page = found[:limit]
        more = len(found) > limit
        return Page(page, Position(page[-1].placed_at, page[-1].id) if more else None)
