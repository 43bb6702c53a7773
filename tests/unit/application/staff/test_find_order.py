import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import AmbiguousOrderId, OrderNotFound
from ordergate.application.staff.find_order import FindOrder
from ordergate.domain.order import OrderId
from tests.support.builders import ALICE, BOB, an_order


@pytest.fixture
async def find_order() -> FindOrder:
    storage = InMemoryStorage()
    await storage.loader.load([ALICE, BOB], [an_order(7), an_order(8), an_order(8, owner=BOB.id)])
    return FindOrder(storage.orders, storage.staff_orders)


async def test_order_is_found_by_its_id(find_order: FindOrder) -> None:
    assert await find_order(OrderId(7)) == an_order(7)
    assert await find_order(OrderId(8), owner=BOB.id) == an_order(8, owner=BOB.id)


async def test_order_with_several_owners_needs_the_owner(find_order: FindOrder) -> None:
    with pytest.raises(AmbiguousOrderId):
        await find_order(OrderId(8))


async def test_missing_order_is_not_found(find_order: FindOrder) -> None:
    with pytest.raises(OrderNotFound):
        await find_order(OrderId(9))
    with pytest.raises(OrderNotFound):
        await find_order(OrderId(7), owner=BOB.id)
