from collections.abc import Callable
from dataclasses import replace

import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import OrderChanged, OrderNotFound
from ordergate.application.orders.cancel_order import CancelOrder
from ordergate.domain.errors import InvalidTransition
from ordergate.domain.order import OrderId, OrderStatus
from tests.support.builders import ALICE, BOB, an_order

CANCELLED = replace(an_order(7), status=OrderStatus.CANCELLED, version=2)


def require(*versions: int) -> Callable[[int], None]:
    """Return a check that accepts these versions only."""

    def check(version: int) -> None:
        if version not in versions:
            raise OrderChanged

    return check


@pytest.fixture
async def storage() -> InMemoryStorage:
    storage = InMemoryStorage()
    await storage.loader.load([ALICE, BOB], [an_order(7)])
    return storage


async def test_order_that_is_paid_can_be_cancelled(storage: InMemoryStorage) -> None:
    cancel_order = CancelOrder(storage.orders)
    assert await cancel_order(OrderId(7), owner=ALICE.id) == CANCELLED
    assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) == CANCELLED
    with pytest.raises(InvalidTransition, match=r"is cancelled, which is a final status"):
        await cancel_order(OrderId(7), owner=ALICE.id)


async def test_order_of_another_owner_is_not_found(storage: InMemoryStorage) -> None:
    cancel_order = CancelOrder(storage.orders)
    for order_id, owner in [(7, BOB.id), (8, ALICE.id)]:
        with pytest.raises(OrderNotFound):
            await cancel_order(OrderId(order_id), owner=owner, check_version=require(1))
    assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) == an_order(7)


async def test_cancel_order_requires_the_expected_version(storage: InMemoryStorage) -> None:
    cancel_order = CancelOrder(storage.orders)
    with pytest.raises(OrderChanged):
        await cancel_order(OrderId(7), owner=ALICE.id, check_version=require(2, 3))
    assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) == an_order(7)
    assert await cancel_order(OrderId(7), owner=ALICE.id, check_version=require(1, 3)) == CANCELLED


async def test_version_mismatch_is_reported_before_a_broken_rule(storage: InMemoryStorage) -> None:
    cancel_order = CancelOrder(storage.orders)
    await cancel_order(OrderId(7), owner=ALICE.id)
    with pytest.raises(OrderChanged):
        await cancel_order(OrderId(7), owner=ALICE.id, check_version=require(1))
