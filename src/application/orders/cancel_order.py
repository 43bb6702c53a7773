"""Cancel an own order."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ordergate.application.concurrency_limit import ConcurrencyLimit, make_write_limit
from ordergate.application.errors import OrderNotFound
from ordergate.application.ports.orders import OrderRepository
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Cancel an order of its owner and return it.

    `check_version` receives the version that is cancelled. It raises an error to refuse that, such
    as `OrderChanged`.

    Raises:
        OrderNotFound: the owner has no such order.
        InvalidTransition: the order cannot be cancelled any more.
        TooManyRequests: the owner exceeds `concurrency_limit`.
    """

    orders: OrderRepository
    concurrency_limit: ConcurrencyLimit = field(default_factory=make_write_limit)

    async def __call__(
        self,
        order_id: OrderId,
        *,
        owner: UserId,
        check_version: Callable[[int], None] | None = None,
    ) -> Order:
        def cancel(order: Order) -> Order:
            if check_version is not None:
                check_version(order.version)
            return order.transition_to(OrderStatus.CANCELLED)

        async with self.concurrency_limit.acquire(owner):
            cancelled = await self.orders.update(order_id, owner=owner, change=cancel)
        if cancelled is None:
            raise OrderNotFound
        return cancelled
