"""Set an order to its next status, as staff."""

from dataclasses import dataclass

from ordergate.application.errors import AmbiguousOrderId, OrderNotFound
from ordergate.application.ports.orders import OrderRepository, StaffOrders
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class AdvanceOrder:
    """Give an order a new status and return it.

    Raises:
        OrderNotFound: there is no such order.
        InvalidTransition: the status cannot follow the current one.
        AmbiguousOrderId: several users have an order with this id, and `owner` is missing.
    """

    orders: OrderRepository
    staff_orders: StaffOrders

    async def __call__(
        self, order_id: OrderId, status: OrderStatus, *, owner: UserId | None = None
    ) -> Order:
        owners = [owner] if owner is not None else await self.staff_orders.list_owners(order_id)
        if len(owners) > 1:
            raise AmbiguousOrderId(owners)
        for only in owners:
            order = await self.orders.update(
                order_id, owner=only, change=lambda order: order.transition_to(status)
            )
            if order is not None:
                return order
        raise OrderNotFound
