"""Value contract of orders: every value is read as it was stored."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ordergate.application.ports.orders import (
    IdempotencyKey,
    OrderQuery,
    OrderRepository,
    Position,
    StaffOrders,
)
from ordergate.domain.money import MAX_MINOR, Money
from ordergate.domain.order import (
    MAX_LINES,
    MAX_NAME_LENGTH,
    MAX_QUANTITY,
    MAX_SKU_LENGTH,
    MAX_VERSION,
    Order,
    OrderId,
    OrderLine,
    OrderStatus,
)
from ordergate.domain.user import MAX_ID, PasswordHash, User, UserId, Username
from tests.contracts.orders.order_hooks import OrderHooks
from tests.contracts.storage.values_contract import IDS, LATEST
from tests.support.builders import ALICE, TEAPOT, an_order


class OrderValuesContract(OrderHooks):
    """Round trips of whole orders."""

    @pytest.mark.parametrize(
        "text",
        [
            "caf\u00e9",
            "cafe\u0301",
            "\u05e7\u05e0\u05e7\u05df 1",
            "\U0001fad6 \U0001f469\U0001f3fd",
            " two  spaces ",
            "'; DROP TABLE orders; --",
            '\\u0000 \\x00 %00 {"a": [1]}',
            "%_*?",
            "NULL",
            "1e3",
        ],
    )
    async def test_text_is_stored_exactly(self, orders: OrderRepository, text: str) -> None:
        await self.place_all(orders, [ALICE], [])
        lines = (
            replace(TEAPOT, sku=text, name=text),
            replace(TEAPOT, sku="\U00020000" * MAX_SKU_LENGTH, name="\U0001d518" * MAX_NAME_LENGTH),
        )
        order = an_order(lines=lines)
        assert await orders.add(order, owner=ALICE.id) == order
        assert await orders.get_owned(order.id, owner=ALICE.id) == order

    async def test_order_has_up_to_100_lines_in_their_order(self, orders: OrderRepository) -> None:
        lines = tuple(
            OrderLine(f"SKU {i % 7}", f"line {i}", 1 + i * 31 % 50, Money(i, "JPY"))
            for i in range(MAX_LINES)
        )
        await self.place_all(orders, [ALICE], [an_order(1, lines=lines)])
        placed = an_order(2, lines=lines[::-1])
        await orders.add(placed, owner=ALICE.id)
        assert list(await orders.list_owned(OrderQuery(limit=9), owner=ALICE.id)) == [
            placed,
            an_order(1, lines=lines),
        ]

    async def test_largest_numbers_are_stored_exactly(
        self, orders: OrderRepository, staff_orders: StaffOrders
    ) -> None:
        owner = User(UserId(MAX_ID), Username("max"), PasswordHash("hash"))
        most = OrderLine("a", "b", 1, Money(MAX_MINOR - MAX_QUANTITY * 3, "KWD"))
        many = OrderLine("a", "b", MAX_QUANTITY, Money(3, "KWD"))
        order = replace(
            an_order(MAX_ID, owner=MAX_ID, lines=(most, many)),
            status=OrderStatus.PLACED,
            version=MAX_VERSION - 1,
        )
        assert order.total.minor == MAX_MINOR
        await self.place_all(orders, [owner], [])
        key = IdempotencyKey("~" * 255, LATEST)
        assert await orders.add(order, owner=owner.id, key=key) == order
        paid = await orders.update(
            order.id, owner=owner.id, change=lambda order: order.transition_to(OrderStatus.PAID)
        )
        assert paid == replace(order, status=OrderStatus.PAID, version=MAX_VERSION)
        assert await orders.get_owned(order.id, owner=owner.id) == paid
        assert list(await orders.list_owned(OrderQuery(limit=2), owner=owner.id)) == [paid]
        assert list(await staff_orders.list_owners(order.id)) == [MAX_ID]
        again = replace(an_order(1, owner=MAX_ID), placed_at=LATEST - timedelta(microseconds=1))
        assert await orders.add(again, owner=owner.id, key=key) == paid

    async def test_ids_of_any_length_are_distinct_and_sorted(
        self, orders: OrderRepository, staff_orders: StaffOrders
    ) -> None:
        """Each owner's orders of one time are sorted by numeric id."""
        owners = [User(UserId(i), Username(f"u{i}"), PasswordHash("h")) for i in IDS]
        several = [an_order(i, owner=owner) for owner in IDS for i in IDS]
        await self.place_all(orders, owners, several)
        for owner in owners:
            page = await orders.list_owned(OrderQuery(limit=len(IDS) + 1), owner=owner.id)
            assert list(page) == [an_order(i, owner=owner.id) for i in reversed(IDS)]
            before = Position(several[0].placed_at, 256)
            page = await orders.list_owned(OrderQuery(before=before, limit=2), owner=owner.id)
            assert [order.id for order in page] == [255, 128]
        for i in IDS:
            assert sorted(await staff_orders.list_owners(OrderId(i))) == IDS

    async def test_order_keeps_all_but_status_and_version(self, orders: OrderRepository) -> None:
        """A change of any other field is ignored."""
        await self.place_all(orders, [ALICE], [an_order()])

        def everything(order: Order) -> Order:
            return replace(
                order,
                status=OrderStatus.SHIPPED,
                version=9,
                placed_at=LATEST,
                lines=(replace(TEAPOT, name="another"),),
            )

        changed = replace(an_order(), status=OrderStatus.SHIPPED, version=9)
        assert await orders.update(OrderId(7), owner=ALICE.id, change=everything) == changed
        assert await orders.get_owned(OrderId(7), owner=ALICE.id) == changed
        assert list(await orders.list_owned(OrderQuery(limit=2), owner=ALICE.id)) == [changed]
