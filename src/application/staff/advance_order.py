"""Set an order to its next status, as staff."""

from dataclasses import dataclass

from ordergate.application.errors import OrderNotFound
from ordergate.application.ports.audit import Audit, AuditEvent
from ordergate.application.ports.orders import OrderRepository, StaffOrders
from ordergate.application.staff.find_owner import find_owner
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
    audit: Audit

    async def __call__(
        self, order_id: OrderId, status: OrderStatus, *, owner: UserId | None = None
    ) -> Order:
        whose = await find_owner(self.staff_orders, order_id) if owner is None else owner
        order = await self.orders.update(
            order_id, owner=whose, change=lambda order: order.transition_to(status)
        )
        if order is None:
            raise OrderNotFound
        self.audit.record(
            AuditEvent.ORDER_ADVANCED, user=order.owner, detail=f"order {order.id}: {order.status}"
        )
        return order
