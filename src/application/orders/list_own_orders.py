"""List own orders in pages."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ordergate.application.caller_limit import CallerLimit, reads_of_lists
from ordergate.application.ports.orders import OrderRepository, Position
from ordergate.domain.order import Order, OrderStatus
from ordergate.domain.user import UserId

MAX_LINES = 2_000
"""A page ends with the order that reaches this number of lines, which limits its size."""

_AT_A_TIME = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Orders, and the position of the next page, if any."""

    orders: Sequence[Order]
    next: Position | None


@dataclass(frozen=True, slots=True)
class ListOwnOrders:
    """Return a page of the owner's orders, newest first.

    The page has up to `limit` orders before a position, fewer if they are large. Filters are
    `status` and the earliest time `since`. Raises `TooManyRequests` beyond `limit_of_caller`.
    """

    orders: OrderRepository
    limit_of_caller: CallerLimit = field(default_factory=reads_of_lists)

    async def __call__(
        self,
        *,
        owner: UserId,
        status: OrderStatus | None = None,
        since: datetime | None = None,
        before: Position | None = None,
        limit: int,
    ) -> Page:
        async with self.limit_of_caller.turn(owner):
            return await self._page(owner, status, since, before, limit)

    async def _page(
        self,
        owner: UserId,
        status: OrderStatus | None,
        since: datetime | None,
        before: Position | None,
        limit: int,
    ) -> Page:
        page: list[Order] = []
        lines = 0
        while True:
            wanted = min(_AT_A_TIME, limit - len(page)) + 1
            found = await self.orders.page(
                owner=owner, status=status, since=since, before=before, limit=wanted
            )
            for order in found:
                if len(page) == limit or lines >= MAX_LINES:
                    return Page(page, before)
                page.append(order)
                lines += len(order.lines)
                before = Position(order.placed_at, order.id)
            if len(found) < wanted:
                return Page(page, None)
