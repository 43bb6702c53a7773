"""Find the owner of an order by its id alone."""

from ordergate.application.errors import AmbiguousOrderId, OrderNotFound
from ordergate.application.ports.orders import StaffOrders
from ordergate.domain.order import OrderId
from ordergate.domain.user import UserId


async def find_owner(staff_orders: StaffOrders, order_id: OrderId) -> UserId:
    """Return the only owner of an order with this id.

    Raises `OrderNotFound`, and `AmbiguousOrderId` if several users have one.
    """
    owners = await staff_orders.list_owners(order_id)
    if len(owners) > 1:
        raise AmbiguousOrderId(owners)
    if not owners:
        raise OrderNotFound
    return owners[0]
