import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import OrderNotFound
from ordergate.application.orders.get_own_order import GetOwnOrder
from ordergate.domain.order import OrderId
from tests.support.builders import ALICE, BOB, an_order


@pytest.fixture
async def get_own_order() -> GetOwnOrder:
    storage = InMemoryStorage()
    await storage.loader.load([ALICE, BOB], [an_order(7, owner=ALICE.id)])
    return GetOwnOrder(storage.orders)


async def test_owner_gets_the_order(get_own_order: GetOwnOrder) -> None:
    assert await get_own_order(OrderId(7), owner=ALICE.id) == an_order(7, owner=ALICE.id)


async def test_order_of_another_owner_is_not_found(get_own_order: GetOwnOrder) -> None:
    with pytest.raises(OrderNotFound) as someone_elses:
        await get_own_order(OrderId(7), owner=BOB.id)
    with pytest.raises(OrderNotFound) as unprivileged_home:
        await get_own_order(OrderId(8), owner=BOB.id)
    assert someone_elses.value.args == unprivileged_home.value.args == ()
