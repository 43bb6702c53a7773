"""List own orders in pages."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ordergate.application.concurrency_limit import ConcurrencyLimit, make_list_limit
from ordergate.application.ports.orders import OrderQuery, OrderRepository, Position
from ordergate.domain.order import Order, OrderStatus
from ordergate.domain.user import UserId

MAX_LINES_OF_PAGE = 2_000
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
    `status` and the earliest time `since`. Raises `TooManyRequests` beyond `concurrency_limit`.
    """

    orders: OrderRepository
    concurrency_limit: ConcurrencyLimit = field(default_factory=make_list_limit)

    async def __call__(
        self,
        *,
        owner: UserId,
        status: OrderStatus | None = None,
        since: datetime | None = None,
        before: Position | None = None,
        limit: int,
    ) -> Page:
        async with self.concurrency_limit.acquire(owner):
            query = OrderQuery(status=status, since=since, before=before, limit=limit)
            return await self._make_page(query, owner)

    async def _make_page(self, query: OrderQuery, owner: UserId) -> Page:
        page: list[Order] = []
        lines, before = 0, query.before
        while True:
            wanted = min(_AT_A_TIME, query.limit - len(page)) + 1
            found = await self.orders.list_owned(
                replace(query, before=before, limit=wanted), owner=owner
            )
            for order in found:
                if len(page) == query.limit or lines >= MAX_LINES_OF_PAGE:
                    return Page(page, before)
                page.append(order)
                lines += len(order.lines)
                before = Position(order.placed_at, order.id)
            if len(found) < wanted:
                return Page(page, None)
