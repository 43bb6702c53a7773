"""Take an order a step further, as staff do."""

from dataclasses import dataclass

from ordergate.application.errors import AmbiguousOrderId, OrderNotFound
from ordergate.application.ports.orders import OrderRepository, StaffOrders
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class AdvanceOrder:
    """Give an order the status that follows, and return it.

    Raises `OrderNotFound`, `InvalidTransition`, and `AmbiguousOrderId` when several users have an
    order of that id and `owner` does not say whose is meant.
    """

    orders: OrderRepository
    staff_orders: StaffOrders

    async def __call__(
        self, order_id: OrderId, status: OrderStatus, *, owner: UserId | None = None
    ) -> Order:
        owners = [owner] if owner is not None else await self.staff_orders.owners_of(order_id)
        if len(owners) > 1:
            raise AmbiguousOrderId(owners)
        for only in owners:
            order = await self.orders.update(
                order_id, owner=only, change=lambda order: order.transition_to(status)
            )
            if order is not None:
                return order
        raise OrderNotFound
