"""Read an own order."""

from dataclasses import dataclass

from ordergate.application.errors import OrderNotFound
from ordergate.application.ports.orders import OrderRepository
from ordergate.domain.order import Order, OrderId
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class GetOwnOrder:
    """Return an order of its owner. Raises `OrderNotFound` if there is none."""

    orders: OrderRepository

    async def __call__(self, order_id: OrderId, *, owner: UserId) -> Order:
        order = await self.orders.get_owned(order_id, owner=owner)
        if order is None:
            raise OrderNotFound
        return order
