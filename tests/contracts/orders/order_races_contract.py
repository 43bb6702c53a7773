"""Race contract of orders: parallel calls, in one process and in two."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta

from ordergate.application.errors import AccountHasOpenOrders, OrderIdTaken
from ordergate.application.ports.orders import OrderQuery, OrderRepository, Position
from ordergate.domain.order import Order, OrderId
from ordergate.domain.user import PasswordHash, User, UserId, Username
from tests.contracts.orders.order_hooks import MANY, OrderHooks
from tests.support.builders import AT, BOB, TEAPOT, a_key, bobs_order


class OrderRacesContract(OrderHooks):
    """Of parallel calls for the same, one succeeds."""

    async def test_parallel_orders_with_one_key_are_placed_once_in_two_processes(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [BOB], [])
        async with self.alternate_processes(orders) as repositories:
            results = await asyncio.gather(
                *(
                    each.add(bobs_order(i), owner=BOB.id, key=a_key("a wish"))
                    for i, each in enumerate(repositories, start=1)
                )
            )
        stored = await orders.list_owned(OrderQuery(limit=MANY), owner=BOB.id)
        assert results == [stored[0]] * MANY
        assert len(stored) == 1

    async def test_parallel_orders_of_one_id_are_placed_once(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [BOB], [])
        several = [
            replace(bobs_order(1), lines=(replace(TEAPOT, quantity=i + 1),)) for i in range(MANY)
        ]
        async with self.alternate_processes(orders) as repositories:
            results = await asyncio.gather(
                *(
                    each.add(order, owner=BOB.id)
                    for each, order in zip(repositories, several, strict=True)
                ),
                return_exceptions=True,
            )
        stored = await orders.get_owned(OrderId(1), owner=BOB.id)
        assert [result for result in results if isinstance(result, Order)] == [stored]
        assert [type(result) for result in results].count(OrderIdTaken) == MANY - 1

    async def test_parallel_updates_of_an_order_lose_no_change(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [BOB], [bobs_order(1)])

        def count_up(order: Order) -> Order:
            return replace(order, version=order.version + 1)

        async with self.alternate_processes(orders) as repositories:
            results = await asyncio.gather(
                *(each.update(OrderId(1), owner=BOB.id, change=count_up) for each in repositories)
            )
        assert sorted(order.version for order in results if order) == list(range(2, MANY + 2))
        stored = await orders.get_owned(OrderId(1), owner=BOB.id)
        assert stored == replace(bobs_order(1), version=MANY + 1)

    async def test_account_with_an_open_order_is_never_closed(
        self, orders: OrderRepository
    ) -> None:
        """Whichever is first, the other is refused, also in another process."""
        people = [User(UserId(i), Username(f"u{i}"), PasswordHash("h")) for i in range(1, MANY + 1)]
        await self.place_all(orders, people, [])

        async def close(user: User) -> bool:
            try:
                return await self.close_account(orders, user)
            except AccountHasOpenOrders:
                return False

        async def place(user: User, there: OrderRepository) -> bool:
            order = replace(bobs_order(1), owner=user.id)
            return await there.add(order, owner=user.id) is not None

        async with self.alternate_processes(orders) as repositories:
            for user, there in zip(people, repositories, strict=True):
                both = [close(user), place(user, there)]
                done = await asyncio.gather(*(both if user.id % 4 < 2 else reversed(both)))
                assert sorted(done) == [False, True]

    async def test_parallel_purges_count_each_key_once(self, orders: OrderRepository) -> None:
        await self.place_all(orders, [BOB], [])
        for i in range(1, MANY + 1):
            await orders.add(bobs_order(i), owner=BOB.id, key=a_key(str(i)))
        by = AT + timedelta(days=1)
        forgotten = [
            await asyncio.gather(
                *(orders.purge_expired_keys(expired_by=by, limit=7) for _ in range(MANY))
            )
            for _ in range(2)
        ]
        assert sum(map(sum, forgotten)) == MANY
        assert max(forgotten[0]) <= 7

    async def test_pages_stay_the_same_while_orders_are_placed(
        self, orders: OrderRepository
    ) -> None:
        """Every order is on one page exactly."""
        there = [bobs_order(i, AT + timedelta(seconds=i % 4)) for i in range(10, 60)]
        await self.place_all(orders, [BOB], there)
        seen: list[Order] = []
        before = None

        async def read() -> None:
            nonlocal before
            for _ in range(100):
                if not (
                    page := await orders.list_owned(
                        OrderQuery(before=before, limit=3), owner=BOB.id
                    )
                ):
                    break
                seen.extend(page)
                before = Position(page[-1].placed_at, page[-1].id)
                await asyncio.sleep(0)

        async def place() -> None:
            for i in range(30):
                at = AT + timedelta(seconds=i % 6 - 1)
                new = bobs_order(100 + i if i % 2 else 1 + i // 4, at)
                try:
                    await orders.add(new, owner=BOB.id)
                except OrderIdTaken:
                    assert not i % 2

        await asyncio.gather(read(), place())
        places = [(order.placed_at, order.id) for order in seen]
        assert places == sorted(set(places), reverse=True)
        assert set(there) <= set(seen)

    async def test_key_that_is_used_again_is_kept_by_parallel_purges(
        self, orders: OrderRepository
    ) -> None:
        await self.place_all(orders, [BOB], [])
        numbers, later = range(1, MANY + 1), AT + timedelta(days=1)
        for i in numbers:
            await orders.add(bobs_order(i), owner=BOB.id, key=a_key(str(i)))
        async with self.alternate_processes(orders) as repositories:

            async def use_again(i: int, each: OrderRepository) -> None:
                key = a_key(str(i), later)
                await each.add(bobs_order(100 + i, later), owner=BOB.id, key=key)

            calls: list[Awaitable[object]] = []
            for i, each in zip(numbers, repositories, strict=True):
                calls += [each.purge_expired_keys(expired_by=later, limit=3), use_again(i, each)]
            await asyncio.gather(*calls)
        for i in numbers:
            key = a_key(str(i), later)
            kept = await orders.add(bobs_order(200 + i, later), owner=BOB.id, key=key)
            assert kept == bobs_order(100 + i, later)
