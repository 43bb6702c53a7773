from dataclasses import replace
from datetime import timedelta

import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.orders.list_own_orders import MAX_LINES_OF_PAGE, ListOwnOrders, Page
from ordergate.application.ports.orders import OrderQuery, Position
from ordergate.domain.order import Order, OrderId, OrderStatus
from tests.support.builders import ALICE, BOB, TEAPOT, an_order

START = an_order().placed_at
MINE = [
    Order(OrderId(i), ALICE.id, OrderStatus.PLACED, START + timedelta(seconds=i), (TEAPOT,))
    for i in range(1, 11)
]


@pytest.fixture
async def list_own_orders() -> ListOwnOrders:
    storage = InMemoryStorage()
    await storage.loader.load([ALICE, BOB], [*MINE, an_order(99, owner=BOB.id)])
    return ListOwnOrders(storage.orders)


async def test_page_returns_the_position_of_the_next(list_own_orders: ListOwnOrders) -> None:
    page = await list_own_orders(owner=ALICE.id, limit=4)
    assert page == Page(MINE[:-5:-1], Position(MINE[6].placed_at, 7))
    page = await list_own_orders(owner=ALICE.id, before=page.next, limit=4)
    assert page == Page(MINE[5:1:-1], Position(MINE[2].placed_at, 3))
    page = await list_own_orders(owner=ALICE.id, before=page.next, limit=4)
    assert page == Page(MINE[1::-1], None)


async def test_page_that_is_just_full_is_the_last(list_own_orders: ListOwnOrders) -> None:
    assert await list_own_orders(owner=ALICE.id, limit=10) == Page(MINE[::-1], None)


async def test_filters_are_passed_on(list_own_orders: ListOwnOrders) -> None:
    since = MINE[3].placed_at
    page = await list_own_orders(owner=ALICE.id, status=OrderStatus.PLACED, since=since, limit=100)
    assert page == Page(MINE[:2:-1], None)
    page = await list_own_orders(owner=ALICE.id, status=OrderStatus.PAID, limit=100)
    assert page == Page([], None)


async def test_page_of_large_orders_has_fewer_of_them() -> None:
    storage = InMemoryStorage()
    large = [replace(order, lines=(TEAPOT,) * 100) for order in MINE[:9]]
    many = [replace(MINE[0], id=OrderId(i), lines=(TEAPOT,) * 99) for i in range(100, 130)]
    await storage.loader.load([ALICE], [*large, *many])
    list_own_orders = ListOwnOrders(storage.orders)
    seen: list[Order] = []
    pages: list[int] = []
    page = await list_own_orders(owner=ALICE.id, limit=200)
    while page.next:
        pages.append(len(page.orders))
        seen += page.orders
        page = await list_own_orders(owner=ALICE.id, before=page.next, limit=200)
    seen += page.orders
    assert pages == [21]
    assert (
        MAX_LINES_OF_PAGE <= sum(len(order.lines) for order in seen[:21]) < MAX_LINES_OF_PAGE + 100
    )
    assert len(seen) == 39
    assert seen == await storage.orders.list_owned(OrderQuery(limit=200), owner=ALICE.id)


async def test_long_page_is_read_in_parts() -> None:
    storage = InMemoryStorage()
    many = [replace(MINE[0], id=OrderId(i)) for i in range(1, 202)]
    await storage.loader.load([ALICE], many)
    list_own_orders = ListOwnOrders(storage.orders)
    page = await list_own_orders(owner=ALICE.id, limit=200)
    assert [order.id for order in page.orders] == list(range(201, 1, -1))
    assert page.next == Position(MINE[0].placed_at, 2)
    page = await list_own_orders(owner=ALICE.id, before=page.next, limit=200)
    assert [order.id for order in page.orders] == [1]
    assert page.next is None
