"""Contract of orders in a store of their own, beside the repository's."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ordergate.application.errors import AccountHasOpenOrders
from ordergate.application.ports.orders import OrderQuery, OrderRepository, StaffOrders
from ordergate.application.ports.storage import SeparateOrders
from ordergate.domain.order import FINAL_STATUSES, Order, OrderId, OrderStatus
from ordergate.domain.user import User, UserId
from tests.contracts.orders.orders_contract import (
    AT,
    OrderRepositoryContract,
    a_key,
    cancel,
    placed,
)
from tests.support.builders import ALICE, BOB, an_order

LATER = AT + timedelta(hours=1)
EVER = datetime.max.replace(tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


def get_separate(orders: OrderRepository) -> SeparateOrders:
    assert isinstance(orders, SeparateOrders)
    return orders


def delivered(order_id: int = 7) -> Order:
    return replace(an_order(order_id), status=OrderStatus.DELIVERED, placed_at=AT)


class SeparateOrdersContract(OrderRepositoryContract):
    """`SeparateOrders`: a subclass names `orders`, `empty_orders` and `another_process`."""

    @pytest.fixture
    def staff_orders(self, orders: OrderRepository) -> StaffOrders:
        return get_separate(orders)

    async def close_account(self, orders: OrderRepository, owner: User) -> bool:
        await get_separate(orders).refuse_orders(owner.id, until=EVER)
        return True

    async def test_owner_is_refused_until_a_time(self, orders: OrderRepository) -> None:
        await get_separate(orders).refuse_orders(ALICE.id, until=LATER)
        assert await orders.add(placed(1, at=LATER - MOMENT), owner=ALICE.id) is None
        assert await orders.get_owned(OrderId(1), owner=ALICE.id) is None
        assert await orders.add(placed(2, at=LATER), owner=ALICE.id) is not None
        assert await orders.add(placed(3, owner=BOB.id), owner=BOB.id) is not None

    async def test_latest_refusal_counts(self, orders: OrderRepository) -> None:
        for until in (AT, LATER, AT):
            await get_separate(orders).refuse_orders(ALICE.id, until=until)
        assert await orders.add(placed(at=LATER - MOMENT), owner=ALICE.id) is None

    async def test_refusal_at_the_ends_of_time_is_kept(self, orders: OrderRepository) -> None:
        await get_separate(orders).refuse_orders(ALICE.id, until=EVER)
        assert await orders.add(placed(at=EVER - MOMENT), owner=ALICE.id) is None
        first = datetime.min.replace(tzinfo=UTC)
        assert await orders.add(placed(at=first), owner=ALICE.id) is None

    @pytest.mark.parametrize("status", sorted(set(OrderStatus) - FINAL_STATUSES))
    async def test_owner_with_an_open_order_is_not_refused(
        self, orders: OrderRepository, status: OrderStatus
    ) -> None:
        await orders.add(replace(an_order(), status=status), owner=ALICE.id)
        with pytest.raises(AccountHasOpenOrders):
            await get_separate(orders).refuse_orders(ALICE.id, until=EVER)
        assert await orders.add(placed(), owner=ALICE.id) == placed()

    async def test_owner_is_refused_once_all_orders_are_final(
        self, orders: OrderRepository
    ) -> None:
        await orders.add(placed(), owner=ALICE.id)
        await orders.add(delivered(), owner=ALICE.id)
        with pytest.raises(AccountHasOpenOrders):
            await get_separate(orders).refuse_orders(ALICE.id, until=EVER)
        await orders.update(OrderId(11), owner=ALICE.id, change=cancel)
        await get_separate(orders).refuse_orders(ALICE.id, until=EVER)
        assert await orders.add(placed(12), owner=ALICE.id) is None

    async def test_key_of_a_refused_owner_gives_nothing(self, orders: OrderRepository) -> None:
        await orders.add(delivered(), owner=ALICE.id, key=a_key())
        await get_separate(orders).refuse_orders(ALICE.id, until=EVER)
        assert await orders.add(placed(), owner=ALICE.id, key=a_key()) is None
        assert await orders.add(delivered(), owner=ALICE.id) is None

    async def test_orders_of_a_refused_owner_stay(self, orders: OrderRepository) -> None:
        await orders.add(delivered(), owner=ALICE.id)
        await get_separate(orders).refuse_orders(ALICE.id, until=EVER)
        assert await orders.get_owned(OrderId(7), owner=ALICE.id) == delivered()
        assert list(await orders.list_owned(OrderQuery(limit=2), owner=ALICE.id)) == [delivered()]
        assert list(await get_separate(orders).list_owners(OrderId(7))) == [ALICE.id]

    async def test_owner_is_refused_or_has_an_open_order_in_two_processes(
        self, orders: OrderRepository
    ) -> None:
        """Whichever is first, the other fails."""
        async with self.alternate_processes(orders) as repositories:

            async def refuse(each: OrderRepository, owner: UserId) -> bool:
                try:
                    await get_separate(each).refuse_orders(owner, until=EVER)
                except AccountHasOpenOrders:
                    return False
                return True

            async def place(each: OrderRepository, owner: UserId) -> bool:
                return await each.add(placed(owner=owner), owner=owner) is not None

            async def race(number: int, each: OrderRepository) -> list[bool]:
                both = [refuse(each, UserId(number)), place(orders, UserId(number))]
                return sorted(await asyncio.gather(*(both if number % 2 else reversed(both))))

            results = await asyncio.gather(
                *(race(i, each) for i, each in enumerate(repositories, start=1))
            )
        assert results == [[False, True]] * len(results)

    async def test_ping_returns_while_the_store_answers(self, orders: OrderRepository) -> None:
        await get_separate(orders).ping()

    async def test_store_is_closed_twice_without_an_error(self, orders: OrderRepository) -> None:
        await get_separate(orders).close()
        await get_separate(orders).close()
