"""Find an order by its id, as staff."""

from dataclasses import dataclass

from ordergate.application.errors import OrderNotFound
from ordergate.application.ports.orders import OrderRepository, StaffOrders
from ordergate.application.staff.find_owner import find_owner
from ordergate.domain.order import Order, OrderId
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class FindOrder:
    """Return the order with this id, of this owner if given.

    Raises:
        OrderNotFound: there is no such order.
        AmbiguousOrderId: several users have an order with this id, and `owner` is missing.
    """

    orders: OrderRepository
    staff_orders: StaffOrders

    async def __call__(self, order_id: OrderId, *, owner: UserId | None = None) -> Order:
        whose = await find_owner(self.staff_orders, order_id) if owner is None else owner
        order = await self.orders.get_owned(order_id, owner=whose)
        if order is None:
            raise OrderNotFound
        return order
