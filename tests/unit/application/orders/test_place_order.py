from dataclasses import replace
from datetime import timedelta

import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import IdempotencyKeyReused, InvalidToken, OrderIdTaken
from ordergate.application.orders.place_order import ID_ATTEMPTS, PlaceOrder, draw_order_id
from ordergate.application.ports.orders import OrderQuery
from ordergate.domain.errors import InvalidOrder
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import UserId
from tests.support.builders import ALICE, BOB, CUPS, TEAPOT
from tests.support.doubles import SettableClock

DAY = timedelta(days=1)


class Shop:
    def __init__(self, *ids: int) -> None:
        self.storage = InMemoryStorage()
        self.clock = SettableClock()
        drawn = iter(ids or range(1, 100))
        self.place_order = PlaceOrder(
            self.storage.orders, self.clock, DAY, new_id=lambda: OrderId(next(drawn))
        )


@pytest.fixture
async def shop() -> Shop:
    shop = Shop()
    await shop.storage.loader.load([ALICE, BOB], [])
    return shop


async def test_placed_order_has_the_current_time_and_its_owner(shop: Shop) -> None:
    order = await shop.place_order((TEAPOT, CUPS), owner=ALICE.id)
    assert order == Order(
        OrderId(1), ALICE.id, OrderStatus.PLACED, shop.clock.now(), (TEAPOT, CUPS), version=1
    )
    assert await shop.storage.orders.get_owned(order.id, owner=ALICE.id) == order


async def test_requests_without_a_key_are_separate_orders(shop: Shop) -> None:
    first = await shop.place_order((TEAPOT,), owner=ALICE.id)
    second = await shop.place_order((TEAPOT,), owner=ALICE.id)
    assert first.id != second.id


async def test_repeat_gets_the_order_as_it_was_placed(shop: Shop) -> None:
    first = await shop.place_order((TEAPOT,), owner=ALICE.id, key="wish")
    await shop.storage.orders.update(
        first.id, owner=ALICE.id, change=lambda order: order.transition_to(OrderStatus.CANCELLED)
    )
    shop.clock.advance(hours=23)
    assert await shop.place_order((TEAPOT,), owner=ALICE.id, key="wish") == first


async def test_key_with_another_order_is_refused(shop: Shop) -> None:
    await shop.place_order((TEAPOT,), owner=ALICE.id, key="wish")
    with pytest.raises(IdempotencyKeyReused):
        await shop.place_order((TEAPOT, CUPS), owner=ALICE.id, key="wish")
    assert len(await shop.storage.orders.list_owned(OrderQuery(limit=9), owner=ALICE.id)) == 1


async def test_key_expires(shop: Shop) -> None:
    first = await shop.place_order((TEAPOT,), owner=ALICE.id, key="wish")
    shop.clock.advance(days=1)
    second = await shop.place_order((CUPS,), owner=ALICE.id, key="wish")
    assert second == replace(first, id=second.id, lines=(CUPS,), placed_at=shop.clock.now())


async def test_key_belongs_to_its_owner(shop: Shop) -> None:
    hers = await shop.place_order((TEAPOT,), owner=ALICE.id, key="wish")
    his = await shop.place_order((CUPS,), owner=BOB.id, key="wish")
    assert (hers.owner, his.owner) == (ALICE.id, BOB.id)


async def test_taken_id_is_drawn_again() -> None:
    shop = Shop(7, 7, 8)
    await shop.storage.loader.load([ALICE], [])
    await shop.place_order((TEAPOT,), owner=ALICE.id)
    assert (await shop.place_order((CUPS,), owner=ALICE.id)).id == 8


async def test_id_drawing_ends_after_the_attempt_limit() -> None:
    shop = Shop(*([7] * (ID_ATTEMPTS + 1)))
    await shop.storage.loader.load([ALICE], [])
    await shop.place_order((TEAPOT,), owner=ALICE.id)
    with pytest.raises(OrderIdTaken):
        await shop.place_order((CUPS,), owner=ALICE.id)


async def test_place_order_rejects_a_closed_account(shop: Shop) -> None:
    with pytest.raises(InvalidToken):
        await shop.place_order((TEAPOT,), owner=UserId(99))


async def test_order_without_lines_is_refused(shop: Shop) -> None:
    with pytest.raises(InvalidOrder):
        await shop.place_order((), owner=ALICE.id)


def test_drawn_ids_are_random_and_exact_in_javascript() -> None:
    ids = {draw_order_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(2**52 <= order_id < 2**53 for order_id in ids)
