"""Order repository contract; see `StorageContract`."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given

from ordergate.application.errors import AccountHasOpenOrders, OrderIdTaken
from ordergate.application.ports.orders import IdempotencyKey, OrderQuery, Position
from ordergate.application.ports.storage import Storage
from ordergate.domain.errors import InvalidTransition
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import MAX_ID, PasswordHash, User, UserId, Username
from tests.support.builders import ALICE, BOB, CUPS, TEAPOT, an_order, orders, ship
from tests.support.properties import at_most

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def place_and_get_location(order_id: int = 11, owner: int = 1, at: datetime = AT) -> Order:
    return Order(OrderId(order_id), UserId(owner), OrderStatus.PLACED, at, (CUPS, TEAPOT, CUPS))


def a_key(value: str = "a wish", at: datetime = AT) -> IdempotencyKey:
    return IdempotencyKey(value, at + DAY)


def cancel(order: Order) -> Order:
    return order.transition_to(OrderStatus.CANCELLED)


class OrderRepositoryContract:
    """`OrderRepository` and `StaffOrders`."""

    async def empty(self, storage: Storage) -> None:
        """Remove everything, by a way of the storage's own."""
        raise NotImplementedError

    async def test_owner_gets_the_whole_order(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [an_order()])
        assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) == an_order()

    async def test_order_of_another_owner_is_not_found(self, storage: Storage) -> None:
        await storage.loader.load([ALICE, BOB], [an_order(7, owner=ALICE.id)])
        assert await storage.orders.get_owned(OrderId(7), owner=BOB.id) is None

    async def test_missing_order_is_not_found(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [an_order(7)])
        for order_id in (1, 6, 8, MAX_ID):
            assert await storage.orders.get_owned(OrderId(order_id), owner=ALICE.id) is None

    async def test_largest_ids_are_ids(self, storage: Storage) -> None:
        owner = User(UserId(MAX_ID), Username("max"), PasswordHash("hash"))
        order = an_order(MAX_ID, owner=MAX_ID)
        await storage.loader.load([owner], [order])
        assert await storage.orders.get_owned(OrderId(MAX_ID), owner=owner.id) == order

    async def test_parallel_readers_each_get_their_order(self, storage: Storage) -> None:
        mine = [an_order(i, owner=1 + i % 2) for i in range(1, 101)]
        await storage.loader.load([ALICE, BOB], mine)
        got = await asyncio.gather(*(storage.orders.get_owned(o.id, owner=o.owner) for o in mine))
        assert got == mine

    @at_most(50)
    @given(order=orders())
    async def test_order_comes_back_as_it_was_stored(self, storage: Storage, order: Order) -> None:
        await self.empty(storage)
        await storage.loader.load([ALICE], [order])
        assert await storage.orders.get_owned(order.id, owner=ALICE.id) == order

    # Placing

    async def test_placed_order_is_stored_as_it_was_placed(self, storage: Storage) -> None:
        await storage.loader.load([ALICE, BOB], [])
        assert (
            await storage.orders.add(place_and_get_location(), owner=ALICE.id)
            == place_and_get_location()
        )
        assert (
            await storage.orders.get_owned(OrderId(11), owner=ALICE.id) == place_and_get_location()
        )
        assert await storage.orders.get_owned(OrderId(11), owner=BOB.id) is None

    async def test_placed_order_is_visible_to_other_processes(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        await storage.orders.add(place_and_get_location(), owner=ALICE.id, key=a_key())
        other = self.another(storage)
        await other.open()
        assert await other.orders.get_owned(OrderId(11), owner=ALICE.id) == place_and_get_location()
        assert (
            await other.orders.add(place_and_get_location(12), owner=ALICE.id, key=a_key())
            == place_and_get_location()
        )
        await other.close()

    def another(self, storage: Storage) -> Storage:
        """Return what another process would use to reach the same data, not yet open."""
        raise NotImplementedError

    @at_most(50)
    @given(order=orders())
    async def test_any_order_can_be_placed(self, storage: Storage, order: Order) -> None:
        await self.empty(storage)
        await storage.loader.load([ALICE], [])
        assert await storage.orders.add(order, owner=ALICE.id, key=a_key()) == order
        assert await storage.orders.get_owned(order.id, owner=ALICE.id) == order
        assert list(await storage.orders.list_owned(OrderQuery(limit=2), owner=ALICE.id)) == [order]

    async def test_key_identifies_one_order(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        first = await storage.orders.add(place_and_get_location(), owner=ALICE.id, key=a_key())
        again = place_and_get_location(12, at=AT + DAY - timedelta(microseconds=1))
        assert await storage.orders.add(again, owner=ALICE.id, key=a_key()) == first
        assert await storage.orders.get_owned(OrderId(12), owner=ALICE.id) is None

    async def test_key_returns_the_current_state_of_its_order(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        await storage.orders.add(place_and_get_location(), owner=ALICE.id, key=a_key())
        cancelled = await storage.orders.update(OrderId(11), owner=ALICE.id, change=cancel)
        assert (
            await storage.orders.add(place_and_get_location(12), owner=ALICE.id, key=a_key())
            == cancelled
        )

    async def test_expired_key_may_be_used_again(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        await storage.orders.add(place_and_get_location(), owner=ALICE.id, key=a_key())
        later = place_and_get_location(12, at=AT + DAY)
        key = a_key(at=AT + DAY)
        assert await storage.orders.add(later, owner=ALICE.id, key=key) == later
        assert (
            await storage.orders.add(
                place_and_get_location(13, at=AT + DAY), owner=ALICE.id, key=key
            )
            == later
        )
        assert (
            await storage.orders.get_owned(OrderId(11), owner=ALICE.id) == place_and_get_location()
        )

    async def test_keys_are_separate_for_each_owner(self, storage: Storage) -> None:
        await storage.loader.load([ALICE, BOB], [])
        assert (
            await storage.orders.add(place_and_get_location(), owner=ALICE.id, key=a_key())
            == place_and_get_location()
        )
        his = place_and_get_location(owner=BOB.id)
        assert await storage.orders.add(his, owner=BOB.id, key=a_key()) == his

    @pytest.mark.parametrize("other", ["A wish", "a wish ", "a wis", "~" * 255, "%", "'"])
    async def test_keys_are_compared_exactly(self, storage: Storage, other: str) -> None:
        await storage.loader.load([ALICE], [])
        await storage.orders.add(place_and_get_location(), owner=ALICE.id, key=a_key())
        second = place_and_get_location(12)
        assert await storage.orders.add(second, owner=ALICE.id, key=a_key(other)) == second
        assert (
            await storage.orders.add(place_and_get_location(13), owner=ALICE.id, key=a_key(other))
            == second
        )

    @pytest.mark.parametrize("length", [64, 128, 191, 255])
    async def test_keys_that_differ_in_the_last_character_are_different(
        self, storage: Storage, length: int
    ) -> None:
        await storage.loader.load([ALICE], [])
        for i in (1, 2):
            key = a_key("k" * (length - 1) + str(i))
            assert await storage.orders.add(
                place_and_get_location(i), owner=ALICE.id, key=key
            ) == place_and_get_location(i)
            assert await storage.orders.add(
                place_and_get_location(9), owner=ALICE.id, key=key
            ) == place_and_get_location(i)

    async def test_parallel_orders_with_one_key_are_placed_once(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        results = await asyncio.gather(
            *(
                storage.orders.add(place_and_get_location(i), owner=ALICE.id, key=a_key())
                for i in range(1, 21)
            )
        )
        stored = await storage.orders.list_owned(OrderQuery(limit=50), owner=ALICE.id)
        assert len(stored) == 1
        assert results == [stored[0]] * 20

    async def test_parallel_orders_are_all_placed(self, storage: Storage) -> None:
        await storage.loader.load([ALICE, BOB], [])
        mine = [place_and_get_location(i, owner=1 + i % 2) for i in range(1, 51)]
        added = await asyncio.gather(
            *(storage.orders.add(o, owner=o.owner, key=a_key(str(o.id))) for o in mine)
        )
        assert added == mine
        got = await asyncio.gather(*(storage.orders.get_owned(o.id, owner=o.owner) for o in mine))
        assert got == mine

    async def test_repeated_placement_changes_nothing(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        await storage.orders.add(place_and_get_location(), owner=ALICE.id)
        assert (
            await storage.orders.add(place_and_get_location(), owner=ALICE.id)
            == place_and_get_location()
        )
        assert len(await storage.orders.list_owned(OrderQuery(limit=2), owner=ALICE.id)) == 1

    async def test_repeated_placement_adds_no_key(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        await storage.orders.add(place_and_get_location(), owner=ALICE.id)
        assert (
            await storage.orders.add(replace(place_and_get_location()), owner=ALICE.id, key=a_key())
            == place_and_get_location()
        )
        second = place_and_get_location(12)
        assert await storage.orders.add(second, owner=ALICE.id, key=a_key()) == second

    async def test_repeated_placement_returns_an_order_that_changed_since(
        self, storage: Storage
    ) -> None:
        await storage.loader.load([ALICE], [])
        await storage.orders.add(place_and_get_location(), owner=ALICE.id)
        cancelled = await storage.orders.update(OrderId(11), owner=ALICE.id, change=cancel)
        assert await storage.orders.add(place_and_get_location(), owner=ALICE.id) == cancelled
        assert list(await storage.orders.list_owned(OrderQuery(limit=2), owner=ALICE.id)) == [
            cancelled
        ]

    async def test_key_returns_no_order_when_the_account_is_closed(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        await storage.orders.add(place_and_get_location(), owner=ALICE.id, key=a_key())
        await storage.orders.update(OrderId(11), owner=ALICE.id, change=cancel)
        hash_ = ALICE.password_hash
        assert await storage.users.close(ALICE.id, password_hash=hash_, at=AT) == []
        assert (
            await storage.orders.add(place_and_get_location(12), owner=ALICE.id, key=a_key())
            is None
        )

    async def test_expired_key_is_kept_when_it_is_used_again(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        await storage.orders.add(place_and_get_location(), owner=ALICE.id, key=a_key())
        later = place_and_get_location(12, at=AT + DAY)
        await storage.orders.add(later, owner=ALICE.id, key=a_key(at=AT + DAY))
        assert await storage.orders.purge_expired_keys(expired_by=AT + DAY, limit=9) == 0
        again = place_and_get_location(13, at=AT + DAY)
        assert await storage.orders.add(again, owner=ALICE.id, key=a_key(at=AT + DAY)) == later

    async def test_id_is_taken_when_the_owner_has_used_it(self, storage: Storage) -> None:
        await storage.loader.load([ALICE, BOB], [])
        await storage.orders.add(place_and_get_location(), owner=ALICE.id)
        another = replace(place_and_get_location(), lines=(TEAPOT,))
        with pytest.raises(OrderIdTaken):
            await storage.orders.add(another, owner=ALICE.id, key=a_key())
        assert (
            await storage.orders.get_owned(OrderId(11), owner=ALICE.id) == place_and_get_location()
        )
        fresh = place_and_get_location(12)
        assert await storage.orders.add(fresh, owner=ALICE.id, key=a_key()) == fresh
        assert (
            await storage.orders.add(place_and_get_location(owner=BOB.id), owner=BOB.id) is not None
        )

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
        self, storage: Storage, changes: dict[str, Any]
    ) -> None:
        await storage.loader.load([ALICE], [])
        await storage.orders.add(place_and_get_location(), owner=ALICE.id)
        with pytest.raises(OrderIdTaken):
            await storage.orders.add(replace(place_and_get_location(), **changes), owner=ALICE.id)
        assert (
            await storage.orders.get_owned(OrderId(11), owner=ALICE.id) == place_and_get_location()
        )

    async def test_add_refuses_an_order_of_another_owner(self, storage: Storage) -> None:
        await storage.loader.load([ALICE, BOB], [])
        with pytest.raises(ValueError, match="another owner"):
            await storage.orders.add(place_and_get_location(owner=BOB.id), owner=ALICE.id)
        assert await storage.orders.list_owned(OrderQuery(limit=1), owner=BOB.id) == []

    async def test_add_refuses_an_order_without_an_account(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        assert await storage.orders.add(place_and_get_location(owner=99), owner=UserId(99)) is None
        hash_ = ALICE.password_hash
        assert await storage.users.close(ALICE.id, password_hash=hash_, at=AT) == []
        assert (
            await storage.orders.add(place_and_get_location(), owner=ALICE.id, key=a_key()) is None
        )
        assert await storage.orders.get_owned(OrderId(11), owner=ALICE.id) is None

    async def test_external_account_places_orders(self, storage: Storage) -> None:
        subject = await storage.users.get_or_create_by_subject("https://id.example", "alice")
        order = place_and_get_location(owner=subject)
        assert await storage.orders.add(order, owner=subject) == order

    async def test_account_with_an_open_order_is_never_closed(self, storage: Storage) -> None:
        """Whichever is first, the other is refused."""
        people = [User(UserId(i), Username(f"u{i}"), PasswordHash("h")) for i in range(1, 21)]
        await storage.loader.load(people, [])

        async def close(user: User) -> bool:
            try:
                closing = storage.users.close(user.id, password_hash=user.password_hash, at=AT)
                return await closing is not None
            except AccountHasOpenOrders:
                return False

        async def place(user: User) -> bool:
            return (
                await storage.orders.add(place_and_get_location(owner=user.id), owner=user.id)
                is not None
            )

        async def close_or_place(user: User) -> list[bool]:
            both = [close(user), place(user)]
            return sorted(await asyncio.gather(*(both if user.id % 2 else reversed(both))))

        assert await asyncio.gather(*map(close_or_place, people)) == [[False, True]] * 20

    # Listing

    async def test_own_orders_are_listed_newest_first(self, storage: Storage) -> None:
        mine = [place_and_get_location(i, at=AT + timedelta(seconds=i % 7)) for i in range(1, 31)]
        await storage.loader.load([ALICE, BOB], [*mine, place_and_get_location(99, owner=BOB.id)])
        mine.sort(key=lambda order: (order.placed_at, order.id), reverse=True)
        assert list(await storage.orders.list_owned(OrderQuery(limit=100), owner=ALICE.id)) == mine

    async def test_pages_have_every_order_once(self, storage: Storage) -> None:
        mine = [place_and_get_location(i, at=AT + timedelta(seconds=i % 3)) for i in range(1, 24)]
        await storage.loader.load([ALICE, BOB], mine)
        seen: list[Order] = []
        before = None
        for _ in mine:
            if not (
                page := await storage.orders.list_owned(
                    OrderQuery(before=before, limit=5), owner=ALICE.id
                )
            ):
                break
            seen += page
            before = Position(page[-1].placed_at, page[-1].id)
        assert seen == sorted(mine, key=lambda order: (order.placed_at, order.id), reverse=True)
        assert await storage.orders.list_owned(OrderQuery(limit=5), owner=BOB.id) == []

    async def test_page_is_filtered_by_status_and_time(self, storage: Storage) -> None:
        mine = [
            replace(
                place_and_get_location(i, at=AT + timedelta(seconds=i)),
                status=list(OrderStatus)[i % 5],
            )
            for i in range(1, 31)
        ]
        await storage.loader.load([ALICE], mine)
        since, before = AT + timedelta(seconds=5), Position(AT + timedelta(seconds=25), 0)
        for status in (*OrderStatus, None):
            page = await storage.orders.list_owned(
                OrderQuery(status=status, since=since, before=before, limit=100), owner=ALICE.id
            )
            assert list(page) == [
                order
                for order in reversed(mine)
                if status in {None, order.status} and 5 <= order.id < 25
            ]

    async def test_page_is_full_while_there_are_more_orders(self, storage: Storage) -> None:
        """The limit counts the rows that are returned."""
        old = [place_and_get_location(i, at=AT + timedelta(seconds=i)) for i in range(1, 11)]
        new = [
            replace(
                place_and_get_location(i, at=AT + timedelta(seconds=i)),
                status=OrderStatus.CANCELLED,
            )
            for i in range(11, 21)
        ]
        await storage.loader.load(
            [ALICE, BOB], [*old, *new, place_and_get_location(21, owner=BOB.id)]
        )
        for limit in (1, 3, 10):
            page = await storage.orders.list_owned(OrderQuery(limit=limit), owner=ALICE.id)
            assert list(page) == new[::-1][:limit]
            page = await storage.orders.list_owned(
                OrderQuery(status=OrderStatus.PLACED, limit=limit), owner=ALICE.id
            )
            assert list(page) == old[::-1][:limit]
            before = Position(new[0].placed_at, new[0].id)
            page = await storage.orders.list_owned(
                OrderQuery(status=OrderStatus.PLACED, since=AT, before=before, limit=limit),
                owner=ALICE.id,
            )
            assert list(page) == old[::-1][:limit]

    async def test_page_accepts_the_first_and_last_time(self, storage: Storage) -> None:
        first = place_and_get_location(1, at=datetime.min.replace(tzinfo=UTC))
        last = place_and_get_location(MAX_ID, at=datetime.max.replace(tzinfo=UTC))
        await storage.loader.load([ALICE], [first, last])
        assert list(await storage.orders.list_owned(OrderQuery(limit=3), owner=ALICE.id)) == [
            last,
            first,
        ]
        before = Position(last.placed_at, last.id)
        assert list(
            await storage.orders.list_owned(OrderQuery(before=before, limit=3), owner=ALICE.id)
        ) == [first]
        since = last.placed_at
        assert list(
            await storage.orders.list_owned(OrderQuery(since=since, limit=3), owner=ALICE.id)
        ) == [last]

    # Changing

    async def test_update_stores_the_change(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [an_order(7), an_order(8)])
        shipped = replace(an_order(7), status=OrderStatus.SHIPPED, version=2)
        assert await storage.orders.update(OrderId(7), owner=ALICE.id, change=ship) == shipped
        assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) == shipped
        assert await storage.orders.get_owned(OrderId(8), owner=ALICE.id) == an_order(8)
        for status, there in ((OrderStatus.SHIPPED, shipped), (OrderStatus.PAID, an_order(8))):
            listed = await storage.orders.list_owned(
                OrderQuery(status=status, limit=3), owner=ALICE.id
            )
            assert list(listed) == [there]

    async def test_update_returns_an_order_that_does_not_change(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [place_and_get_location()])
        same = await storage.orders.update(OrderId(11), owner=ALICE.id, change=replace)
        assert same == place_and_get_location()
        assert (
            await storage.orders.get_owned(OrderId(11), owner=ALICE.id) == place_and_get_location()
        )

    async def test_update_does_not_change_the_order_of_another_owner(
        self, storage: Storage
    ) -> None:
        await storage.loader.load([ALICE, BOB], [an_order(7)])
        assert await storage.orders.update(OrderId(7), owner=BOB.id, change=ship) is None
        assert await storage.orders.update(OrderId(8), owner=ALICE.id, change=ship) is None
        assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) == an_order(7)

    async def test_update_changes_nothing_when_the_change_raises(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [place_and_get_location()])
        with pytest.raises(InvalidTransition):
            await storage.orders.update(OrderId(11), owner=ALICE.id, change=ship)
        assert (
            await storage.orders.get_owned(OrderId(11), owner=ALICE.id) == place_and_get_location()
        )

    async def test_parallel_updates_of_one_version_change_it_once(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [place_and_get_location()])
        results = await asyncio.gather(
            *(storage.orders.update(OrderId(11), owner=ALICE.id, change=cancel) for _ in range(20)),
            return_exceptions=True,
        )
        cancelled = await storage.orders.get_owned(OrderId(11), owner=ALICE.id)
        assert cancelled == replace(
            place_and_get_location(), status=OrderStatus.CANCELLED, version=2
        )
        assert [result for result in results if isinstance(result, Order)] == [cancelled]
        assert sum(isinstance(result, InvalidTransition) for result in results) == 19

    # Staff

    async def test_staff_orders_return_the_owners_of_an_id(self, storage: Storage) -> None:
        await storage.loader.load([ALICE, BOB], [an_order(7, 1), an_order(7, 2), an_order(8, 2)])
        assert sorted(await storage.staff_orders.owners_of(OrderId(7))) == [ALICE.id, BOB.id]
        assert list(await storage.staff_orders.owners_of(OrderId(8))) == [BOB.id]
        assert list(await storage.staff_orders.owners_of(OrderId(9))) == []

    # Purging

    async def test_expired_keys_are_purged(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        for i in range(1, 7):
            key = a_key(str(i), at=AT + timedelta(seconds=i))
            await storage.orders.add(place_and_get_location(i), owner=ALICE.id, key=key)
        by = AT + DAY + timedelta(seconds=4)
        assert await storage.orders.purge_expired_keys(expired_by=by, limit=3) == 3
        assert await storage.orders.purge_expired_keys(expired_by=by, limit=3) == 1
        assert await storage.orders.purge_expired_keys(expired_by=by, limit=3) == 0
        again = place_and_get_location(100)
        assert await storage.orders.add(again, owner=ALICE.id, key=a_key("1")) == again
        assert await storage.orders.add(
            again, owner=ALICE.id, key=a_key("5")
        ) == place_and_get_location(5)
        assert len(await storage.orders.list_owned(OrderQuery(limit=50), owner=ALICE.id)) == 7
