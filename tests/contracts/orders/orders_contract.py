"""Order repository contract, for orders in any store."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given

from ordergate.application.errors import OrderIdTaken
from ordergate.application.ports.orders import (
    IdempotencyKey,
    OrderQuery,
    OrderRepository,
    Position,
    StaffOrders,
)
from ordergate.domain.errors import InvalidTransition
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import MAX_ID, PasswordHash, User, UserId, Username
from tests.contracts.orders.order_races_contract import OrderRacesContract
from tests.contracts.orders.order_values_contract import OrderValuesContract
from tests.support import builders
from tests.support.builders import ALICE, BOB, CUPS, TEAPOT, an_order, ship
from tests.support.properties import at_most

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def placed(order_id: int = 11, owner: int = 1, at: datetime = AT) -> Order:
    return Order(OrderId(order_id), UserId(owner), OrderStatus.PLACED, at, (CUPS, TEAPOT, CUPS))


def a_key(value: str = "a wish", at: datetime = AT) -> IdempotencyKey:
    return IdempotencyKey(value, at + DAY)


def cancel(order: Order) -> Order:
    return order.transition_to(OrderStatus.CANCELLED)


class OrderRepositoryContract(OrderValuesContract, OrderRacesContract):
    """`OrderRepository` and `StaffOrders`."""

    async def test_owner_gets_the_whole_order(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE], [an_order()])
        assert await orders.get_owned(OrderId(7), owner=ALICE.id) == an_order()

    async def test_order_of_another_owner_is_not_found(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE, BOB], [an_order(7, owner=ALICE.id)])
        assert await orders.get_owned(OrderId(7), owner=BOB.id) is None

    async def test_missing_order_is_not_found(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE], [an_order(7)])
        for order_id in (1, 6, 8, MAX_ID):
            assert await orders.get_owned(OrderId(order_id), owner=ALICE.id) is None

    async def test_largest_ids_are_ids(self, orders: OrderRepository) -> None:
        owner = User(UserId(MAX_ID), Username("max"), PasswordHash("hash"))
        order = an_order(MAX_ID, owner=MAX_ID)
        await self.place_all(orders, [owner], [order])
        assert await orders.get_owned(OrderId(MAX_ID), owner=owner.id) == order

    async def test_parallel_readers_each_get_their_order(self, orders: OrderRepository) -> None:
        mine = [an_order(i, owner=1 + i % 2) for i in range(1, 101)]
        await self.place_all(orders, [ALICE, BOB], mine)
        got = await asyncio.gather(*(orders.get_owned(o.id, owner=o.owner) for o in mine))
        assert got == mine

    @at_most(50)
    @given(order=builders.orders())
    async def test_order_comes_back_as_it_was_stored(
        self, orders: OrderRepository, order: Order
    ) -> None:
        await self.empty_orders(orders)
        await self.place_all(orders, [ALICE], [order])
        assert await orders.get_owned(order.id, owner=ALICE.id) == order

    # Placing

    async def test_placed_order_is_stored_as_it_was_placed(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE, BOB], [])
        assert await orders.add(placed(), owner=ALICE.id) == placed()
        assert await orders.get_owned(OrderId(11), owner=ALICE.id) == placed()
        assert await orders.get_owned(OrderId(11), owner=BOB.id) is None

    async def test_placed_order_is_visible_to_other_processes(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [ALICE], [])
        await orders.add(placed(), owner=ALICE.id, key=a_key())
        async with self.another_process(orders) as other:
            assert await other.get_owned(OrderId(11), owner=ALICE.id) == placed()
            assert await other.add(placed(12), owner=ALICE.id, key=a_key()) == placed()

    @at_most(50)
    @given(order=builders.orders())
    async def test_any_order_can_be_placed(self, orders: OrderRepository, order: Order) -> None:
        await self.empty_orders(orders)
        await self.place_all(orders, [ALICE], [])
        assert await orders.add(order, owner=ALICE.id, key=a_key()) == order
        assert await orders.get_owned(order.id, owner=ALICE.id) == order
        assert list(await orders.list_owned(OrderQuery(limit=2), owner=ALICE.id)) == [order]

    async def test_key_identifies_one_order(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE], [])
        first = await orders.add(placed(), owner=ALICE.id, key=a_key())
        again = placed(12, at=AT + DAY - timedelta(microseconds=1))
        assert await orders.add(again, owner=ALICE.id, key=a_key()) == first
        assert await orders.get_owned(OrderId(12), owner=ALICE.id) is None

    async def test_key_returns_the_current_state_of_its_order(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [ALICE], [])
        await orders.add(placed(), owner=ALICE.id, key=a_key())
        cancelled = await orders.update(OrderId(11), owner=ALICE.id, change=cancel)
        assert await orders.add(placed(12), owner=ALICE.id, key=a_key()) == cancelled

    async def test_expired_key_may_be_used_again(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE], [])
        await orders.add(placed(), owner=ALICE.id, key=a_key())
        later = placed(12, at=AT + DAY)
        key = a_key(at=AT + DAY)
        assert await orders.add(later, owner=ALICE.id, key=key) == later
        assert await orders.add(placed(13, at=AT + DAY), owner=ALICE.id, key=key) == later
        assert await orders.get_owned(OrderId(11), owner=ALICE.id) == placed()

    async def test_keys_are_separate_for_each_owner(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE, BOB], [])
        assert await orders.add(placed(), owner=ALICE.id, key=a_key()) == placed()
        his = placed(owner=BOB.id)
        assert await orders.add(his, owner=BOB.id, key=a_key()) == his

    @pytest.mark.parametrize("other", ["A wish", "a wish ", "a wis", "~" * 255, "%", "'"])
    async def test_keys_are_compared_exactly(self, orders: OrderRepository, other: str) -> None:
        await self.place_all(orders, [ALICE], [])
        await orders.add(placed(), owner=ALICE.id, key=a_key())
        second = placed(12)
        assert await orders.add(second, owner=ALICE.id, key=a_key(other)) == second
        assert await orders.add(placed(13), owner=ALICE.id, key=a_key(other)) == second

    @pytest.mark.parametrize("length", [64, 128, 191, 255])
    async def test_keys_that_differ_in_the_last_character_are_different(
        self, orders: OrderRepository, length: int
    ) -> None:
        await self.place_all(orders, [ALICE], [])
        for i in (1, 2):
            key = a_key("k" * (length - 1) + str(i))
            assert await orders.add(placed(i), owner=ALICE.id, key=key) == placed(i)
            assert await orders.add(placed(9), owner=ALICE.id, key=key) == placed(i)

    async def test_parallel_orders_with_one_key_are_placed_once(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [ALICE], [])
        results = await asyncio.gather(
            *(orders.add(placed(i), owner=ALICE.id, key=a_key()) for i in range(1, 21))
        )
        stored = await orders.list_owned(OrderQuery(limit=50), owner=ALICE.id)
        assert len(stored) == 1
        assert results == [stored[0]] * 20

    async def test_parallel_orders_are_all_placed(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE, BOB], [])
        mine = [placed(i, owner=1 + i % 2) for i in range(1, 51)]
        added = await asyncio.gather(
            *(orders.add(o, owner=o.owner, key=a_key(str(o.id))) for o in mine)
        )
        assert added == mine
        got = await asyncio.gather(*(orders.get_owned(o.id, owner=o.owner) for o in mine))
        assert got == mine

    async def test_repeated_placement_changes_nothing(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE], [])
        await orders.add(placed(), owner=ALICE.id)
        assert await orders.add(placed(), owner=ALICE.id) == placed()
        assert len(await orders.list_owned(OrderQuery(limit=2), owner=ALICE.id)) == 1

    async def test_repeated_placement_adds_no_key(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE], [])
        await orders.add(placed(), owner=ALICE.id)
        assert await orders.add(replace(placed()), owner=ALICE.id, key=a_key()) == placed()
        second = placed(12)
        assert await orders.add(second, owner=ALICE.id, key=a_key()) == second

    async def test_repeated_placement_returns_an_order_that_changed_since(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [ALICE], [])
        await orders.add(placed(), owner=ALICE.id)
        cancelled = await orders.update(OrderId(11), owner=ALICE.id, change=cancel)
        assert await orders.add(placed(), owner=ALICE.id) == cancelled
        assert list(await orders.list_owned(OrderQuery(limit=2), owner=ALICE.id)) == [cancelled]

    async def test_key_returns_no_order_when_the_account_is_closed(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [ALICE], [])
        await orders.add(placed(), owner=ALICE.id, key=a_key())
        await orders.update(OrderId(11), owner=ALICE.id, change=cancel)
        assert await self.close_account(orders, ALICE)
        assert await orders.add(placed(12), owner=ALICE.id, key=a_key()) is None

    async def test_expired_key_is_kept_when_it_is_used_again(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE], [])
        await orders.add(placed(), owner=ALICE.id, key=a_key())
        later = placed(12, at=AT + DAY)
        await orders.add(later, owner=ALICE.id, key=a_key(at=AT + DAY))
        assert await orders.purge_expired_keys(expired_by=AT + DAY, limit=9) == 0
        again = placed(13, at=AT + DAY)
        assert await orders.add(again, owner=ALICE.id, key=a_key(at=AT + DAY)) == later

    async def test_id_is_taken_when_the_owner_has_used_it(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE, BOB], [])
        await orders.add(placed(), owner=ALICE.id)
        another = replace(placed(), lines=(TEAPOT,))
        with pytest.raises(OrderIdTaken):
            await orders.add(another, owner=ALICE.id, key=a_key())
        assert await orders.get_owned(OrderId(11), owner=ALICE.id) == placed()
        fresh = placed(12)
        assert await orders.add(fresh, owner=ALICE.id, key=a_key()) == fresh
        assert await orders.add(placed(owner=BOB.id), owner=BOB.id) is not None

    @pytest.mark.parametrize(
        "changes",
        [
            {"placed_at": AT + timedelta(microseconds=1)},
            {"lines": (CUPS, CUPS, TEAPOT)},
            {"lines": (CUPS, replace(TEAPOT, name="another"), CUPS)},
            {"lines": (CUPS, TEAPOT)},
        ],
        ids=["placed_at", "lines in another order", "a name", "fewer lines"],
    )
    async def test_order_with_any_difference_is_another_order(
        self, orders: OrderRepository, changes: dict[str, Any]
    ) -> None:
        await self.place_all(orders, [ALICE], [])
        await orders.add(placed(), owner=ALICE.id)
        with pytest.raises(OrderIdTaken):
            await orders.add(replace(placed(), **changes), owner=ALICE.id)
        assert await orders.get_owned(OrderId(11), owner=ALICE.id) == placed()

    async def test_add_refuses_an_order_of_another_owner(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE, BOB], [])
        with pytest.raises(ValueError, match="another owner"):
            await orders.add(placed(owner=BOB.id), owner=ALICE.id)
        assert await orders.list_owned(OrderQuery(limit=1), owner=BOB.id) == []

    async def test_add_refuses_an_order_of_a_closed_account(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE], [])
        assert await self.close_account(orders, ALICE)
        assert await orders.add(placed(), owner=ALICE.id, key=a_key()) is None
        assert await orders.get_owned(OrderId(11), owner=ALICE.id) is None

    # Listing

    async def test_own_orders_are_listed_newest_first(self, orders: OrderRepository) -> None:
        mine = [placed(i, at=AT + timedelta(seconds=i % 7)) for i in range(1, 31)]
        await self.place_all(orders, [ALICE, BOB], [*mine, placed(99, owner=BOB.id)])
        mine.sort(key=lambda order: (order.placed_at, order.id), reverse=True)
        assert list(await orders.list_owned(OrderQuery(limit=100), owner=ALICE.id)) == mine

    async def test_pages_have_every_order_once(self, orders: OrderRepository) -> None:
        mine = [placed(i, at=AT + timedelta(seconds=i % 3)) for i in range(1, 24)]
        await self.place_all(orders, [ALICE, BOB], mine)
        seen: list[Order] = []
        before = None
        for _ in mine:
            if not (
                page := await orders.list_owned(OrderQuery(before=before, limit=5), owner=ALICE.id)
            ):
                break
            seen += page
            before = Position(page[-1].placed_at, page[-1].id)
        assert seen == sorted(mine, key=lambda order: (order.placed_at, order.id), reverse=True)
        assert await orders.list_owned(OrderQuery(limit=5), owner=BOB.id) == []

    async def test_page_is_filtered_by_status_and_time(self, orders: OrderRepository) -> None:
        mine = [
            replace(
                placed(i, at=AT + timedelta(seconds=i)),
                status=list(OrderStatus)[i % 5],
            )
            for i in range(1, 31)
        ]
        await self.place_all(orders, [ALICE], mine)
        since, before = AT + timedelta(seconds=5), Position(AT + timedelta(seconds=25), 0)
        for status in (*OrderStatus, None):
            page = await orders.list_owned(
                OrderQuery(status=status, since=since, before=before, limit=100), owner=ALICE.id
            )
            assert list(page) == [
                order
                for order in reversed(mine)
                if status in {None, order.status} and 5 <= order.id < 25
            ]

    async def test_page_is_full_while_there_are_more_orders(self, orders: OrderRepository) -> None:
        """The limit counts the rows that are returned."""
        old = [placed(i, at=AT + timedelta(seconds=i)) for i in range(1, 11)]
        new = [
            replace(
                placed(i, at=AT + timedelta(seconds=i)),
                status=OrderStatus.CANCELLED,
            )
            for i in range(11, 21)
        ]
        await self.place_all(orders, [ALICE, BOB], [*old, *new, placed(21, owner=BOB.id)])
        for limit in (1, 3, 10):
            page = await orders.list_owned(OrderQuery(limit=limit), owner=ALICE.id)
            assert list(page) == new[::-1][:limit]
            page = await orders.list_owned(
                OrderQuery(status=OrderStatus.PLACED, limit=limit), owner=ALICE.id
            )
            assert list(page) == old[::-1][:limit]
            before = Position(new[0].placed_at, new[0].id)
            page = await orders.list_owned(
                OrderQuery(status=OrderStatus.PLACED, since=AT, before=before, limit=limit),
                owner=ALICE.id,
            )
            assert list(page) == old[::-1][:limit]

    async def test_page_accepts_the_first_and_last_time(self, orders: OrderRepository) -> None:
        first = placed(1, at=datetime.min.replace(tzinfo=UTC))
        last = placed(MAX_ID, at=datetime.max.replace(tzinfo=UTC))
        await self.place_all(orders, [ALICE], [first, last])
        assert list(await orders.list_owned(OrderQuery(limit=3), owner=ALICE.id)) == [
            last,
            first,
        ]
        before = Position(last.placed_at, last.id)
        assert list(
            await orders.list_owned(OrderQuery(before=before, limit=3), owner=ALICE.id)
        ) == [first]
        since = last.placed_at
        assert list(await orders.list_owned(OrderQuery(since=since, limit=3), owner=ALICE.id)) == [
            last
        ]

    # Changing

    async def test_update_stores_the_change(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE], [an_order(7), an_order(8)])
        shipped = replace(an_order(7), status=OrderStatus.SHIPPED, version=2)
        assert await orders.update(OrderId(7), owner=ALICE.id, change=ship) == shipped
        assert await orders.get_owned(OrderId(7), owner=ALICE.id) == shipped
        assert await orders.get_owned(OrderId(8), owner=ALICE.id) == an_order(8)
        for status, there in ((OrderStatus.SHIPPED, shipped), (OrderStatus.PAID, an_order(8))):
            listed = await orders.list_owned(OrderQuery(status=status, limit=3), owner=ALICE.id)
            assert list(listed) == [there]

    async def test_update_returns_an_order_that_does_not_change(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [ALICE], [placed()])
        same = await orders.update(OrderId(11), owner=ALICE.id, change=replace)
        assert same == placed()
        assert await orders.get_owned(OrderId(11), owner=ALICE.id) == placed()

    async def test_update_does_not_change_the_order_of_another_owner(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [ALICE, BOB], [an_order(7)])
        assert await orders.update(OrderId(7), owner=BOB.id, change=ship) is None
        assert await orders.update(OrderId(8), owner=ALICE.id, change=ship) is None
        assert await orders.get_owned(OrderId(7), owner=ALICE.id) == an_order(7)

    async def test_update_changes_nothing_when_the_change_raises(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [ALICE], [placed()])
        with pytest.raises(InvalidTransition):
            await orders.update(OrderId(11), owner=ALICE.id, change=ship)
        assert await orders.get_owned(OrderId(11), owner=ALICE.id) == placed()

    async def test_parallel_updates_of_one_version_change_it_once(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [ALICE], [placed()])
        results = await asyncio.gather(
            *(orders.update(OrderId(11), owner=ALICE.id, change=cancel) for _ in range(20)),
            return_exceptions=True,
        )
        cancelled = await orders.get_owned(OrderId(11), owner=ALICE.id)
        assert cancelled == replace(placed(), status=OrderStatus.CANCELLED, version=2)
        assert [result for result in results if isinstance(result, Order)] == [cancelled]
        assert sum(isinstance(result, InvalidTransition) for result in results) == 19

    # Staff

    async def test_staff_orders_return_the_owners_of_an_id(
        self, orders: OrderRepository, staff_orders: StaffOrders
    ) -> None:
        await self.place_all(orders, [ALICE, BOB], [an_order(7, 1), an_order(7, 2), an_order(8, 2)])
        assert sorted(await staff_orders.list_owners(OrderId(7))) == [ALICE.id, BOB.id]
        assert list(await staff_orders.list_owners(OrderId(8))) == [BOB.id]
        assert list(await staff_orders.list_owners(OrderId(9))) == []

    # Purging

    async def test_expired_keys_are_purged(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [ALICE], [])
        for i in range(1, 7):
            key = a_key(str(i), at=AT + timedelta(seconds=i))
            await orders.add(placed(i), owner=ALICE.id, key=key)
        by = AT + DAY + timedelta(seconds=4)
        assert await orders.purge_expired_keys(expired_by=by, limit=3) == 3
        assert await orders.purge_expired_keys(expired_by=by, limit=3) == 1
        assert await orders.purge_expired_keys(expired_by=by, limit=3) == 0
        again = placed(100)
        assert await orders.add(again, owner=ALICE.id, key=a_key("1")) == again
        assert await orders.add(again, owner=ALICE.id, key=a_key("5")) == placed(5)
        assert len(await orders.list_owned(OrderQuery(limit=50), owner=ALICE.id)) == 7
