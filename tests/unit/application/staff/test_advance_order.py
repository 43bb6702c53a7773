from dataclasses import replace

import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import AmbiguousOrderId, OrderNotFound
from ordergate.application.ports.audit import AuditEvent
from ordergate.application.staff.advance_order import AdvanceOrder
from ordergate.domain.errors import InvalidTransition
from ordergate.domain.order import OrderId, OrderStatus
from ordergate.domain.user import UserId
from tests.support.builders import ALICE, BOB, an_order
from tests.support.doubles import RecordedAudit

SHIPPED = replace(an_order(7), status=OrderStatus.SHIPPED, version=2)


@pytest.fixture
def audit() -> RecordedAudit:
    return RecordedAudit()


@pytest.fixture
async def advance_order(audit: RecordedAudit) -> AdvanceOrder:
    storage = InMemoryStorage()
    await storage.loader.load([ALICE, BOB], [an_order(7), an_order(8), an_order(8, owner=BOB.id)])
    return AdvanceOrder(storage.orders, storage.staff_orders, audit)


async def test_advance_order_needs_the_id_alone(
    advance_order: AdvanceOrder, audit: RecordedAudit
) -> None:
    assert await advance_order(OrderId(7), OrderStatus.SHIPPED) == SHIPPED
    assert audit.events == [(AuditEvent.ORDER_ADVANCED, None, ALICE.id, None, "order 7: shipped")]


async def test_advance_order_refuses_an_invalid_transition(advance_order: AdvanceOrder) -> None:
    with pytest.raises(
        InvalidTransition, match="is paid; it may become shipped or cancelled, not paid"
    ):
        await advance_order(OrderId(7), OrderStatus.PAID)


async def test_advance_order_needs_the_owner_when_an_id_is_ambiguous(
    advance_order: AdvanceOrder,
) -> None:
    with pytest.raises(AmbiguousOrderId) as refusal:
        await advance_order(OrderId(8), OrderStatus.SHIPPED)
    assert sorted(refusal.value.owners) == [ALICE.id, BOB.id]
    shipped = await advance_order(OrderId(8), OrderStatus.SHIPPED, owner=BOB.id)
    assert shipped == replace(SHIPPED, id=OrderId(8), owner=BOB.id)


async def test_missing_order_is_not_found(advance_order: AdvanceOrder) -> None:
    with pytest.raises(OrderNotFound):
        await advance_order(OrderId(9), OrderStatus.SHIPPED)
    with pytest.raises(OrderNotFound):
        await advance_order(OrderId(7), OrderStatus.SHIPPED, owner=UserId(2))
