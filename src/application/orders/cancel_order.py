"""Cancel an own order."""

from collections.abc import Container
from dataclasses import dataclass, field

from ordergate.application.caller_limit import CallerLimit, writes
from ordergate.application.errors import OrderChanged, OrderNotFound
from ordergate.application.ports.orders import OrderRepository
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Cancel an order of its owner and return it.

    Raises:
        OrderNotFound: the owner has no such order.
        OrderChanged: the version of the order is not in `versions`.
        InvalidTransition: the order cannot be cancelled any more.
        TooManyRequests: the owner exceeds `limit_of_caller`.
    """

    orders: OrderRepository
    limit_of_caller: CallerLimit = field(default_factory=writes)

    async def __call__(
        self, order_id: OrderId, *, owner: UserId, versions: Container[int] | None = None
    ) -> Order:
        def cancel(order: Order) -> Order:
            if versions is not None and order.version not in versions:
                raise OrderChanged
            return order.transition_to(OrderStatus.CANCELLED)

        async with self.limit_of_caller.turn(owner):
            cancelled = await self.orders.update(order_id, owner=owner, change=cancel)
        if cancelled is None:
            raise OrderNotFound
        return cancelled
