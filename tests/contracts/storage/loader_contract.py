"""Bulk loader contract, for a storage that has one."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import count
from typing import TypeVar

import pytest

from ordergate.application.errors import AccountHasOpenOrders, StorageNotEmpty, StorageUnavailable
from ordergate.application.ports.orders import OrderQuery
from ordergate.application.ports.storage import Storage
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import PasswordHash, User, UserId, Username
from tests.contracts.orders.order_hooks import MANY
from tests.contracts.storage.atomicity_contract import AtomicityContract, add_a_user
from tests.contracts.storage.races_contract import RacesContract
from tests.support.builders import ALICE, AT, BOB, an_order, bobs_order
from tests.support.storage.fault_injection import Failure
from tests.support.storage.storage_calls import get_loader

T = TypeVar("T")


class BulkLoaderContract(RacesContract, AtomicityContract):
    """`BulkLoader`."""

    async def test_users_are_read_before_orders(self, storage: Storage) -> None:
        read: list[object] = []

        def each(values: Iterable[T]) -> Iterator[T]:
            for value in values:
                read.append(value)
                yield value

        orders = [an_order(i, owner=1 + i % 2) for i in range(1, 9)]
        await get_loader(storage).load(each([ALICE, BOB]), each(orders))
        assert read == [ALICE, BOB, *orders]

    async def test_users_and_orders_are_read_once(self, storage: Storage) -> None:
        users, orders = iter([ALICE, BOB]), iter([an_order(1), an_order(2, owner=2)])
        await get_loader(storage).load(users, orders)
        assert await storage.users.get(BOB.id) == BOB
        assert list(await storage.orders.list_owned(OrderQuery(limit=2), owner=BOB.id)) == [
            an_order(2, owner=2)
        ]

    @pytest.mark.parametrize(
        "error",
        [StorageUnavailable("away"), ConnectionError("reset"), TimeoutError("late")],
        ids=lambda error: type(error).__name__,
    )
    async def test_load_stores_nothing_when_reading_its_input_fails(
        self, storage: Storage, error: Exception
    ) -> None:
        """A second attempt would load only a part of an exhausted iterator."""

        def failing(values: Iterable[T]) -> Iterator[T]:
            yield from values
            raise error

        for users, orders in (
            (iter([ALICE]), failing([an_order()])),
            (failing([ALICE]), iter([an_order()])),
        ):
            with pytest.raises((type(error), StorageUnavailable)):
                await get_loader(storage).load(users, orders)
            assert await storage.users.get(ALICE.id) is None
            assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) is None
        await get_loader(storage).load([ALICE], [an_order()])

    async def test_storage_with_a_closed_account_is_not_empty(self, storage: Storage) -> None:
        alice = await storage.users.add(Username("alice"), PasswordHash("hash"))
        await storage.users.close(alice.id, password_hash=alice.password_hash, at=AT)
        with pytest.raises(StorageNotEmpty):
            await get_loader(storage).load([BOB], [])
        assert await storage.users.find(BOB.username) is None

    async def test_load_refuses_unreadable_users(self, storage: Storage) -> None:
        def broken() -> Iterator[User]:
            yield ALICE
            raise RuntimeError("no more users")

        with pytest.raises(RuntimeError, match="no more users"):
            await get_loader(storage).load(broken(), [])
        assert await storage.users.find(ALICE.username) is None
        assert await storage.users.get(ALICE.id) is None
        await get_loader(storage).load([ALICE], [])

    async def test_loaded_orders_are_used_like_placed_ones(self, storage: Storage) -> None:
        await get_loader(storage).load([ALICE, BOB], [an_order(7), an_order(7, owner=2)])
        assert sorted(await storage.staff_orders.list_owners(OrderId(7))) == [ALICE.id, BOB.id]
        for status, orders in ((OrderStatus.PAID, [an_order(7)]), (OrderStatus.PLACED, [])):
            page = await storage.orders.list_owned(
                OrderQuery(status=status, limit=2), owner=ALICE.id
            )
            assert list(page) == orders
        with pytest.raises(AccountHasOpenOrders):
            await storage.users.close(ALICE.id, password_hash=ALICE.password_hash, at=AT)
        assert await storage.orders.add(an_order(7), owner=ALICE.id) == an_order(7)

    async def test_users_and_orders_are_loaded_with_their_ids(self, storage: Storage) -> None:
        await get_loader(storage).load(iter([ALICE, BOB]), iter([an_order(3, 1), an_order(9, 2)]))
        assert await storage.users.find(BOB.username) == BOB
        assert await storage.orders.get_owned(OrderId(3), owner=ALICE.id) == an_order(3, 1)
        assert await storage.orders.get_owned(OrderId(9), owner=BOB.id) == an_order(9, 2)

    async def test_load_is_refused_when_the_storage_is_not_empty(self, storage: Storage) -> None:
        user = await storage.users.add(Username("alice"), PasswordHash("hash"))
        with pytest.raises(StorageNotEmpty):
            await get_loader(storage).load([BOB], [])
        assert await storage.users.find(BOB.username) is None
        assert await storage.users.find(user.username) == user

    async def test_failed_load_leaves_nothing(self, storage: Storage) -> None:
        def broken() -> Iterator[Order]:
            yield an_order()
            raise RuntimeError("no more orders")

        with pytest.raises(RuntimeError, match="no more orders"):
            await get_loader(storage).load([ALICE], broken())
        assert await storage.users.find(ALICE.username) is None
        await get_loader(storage).load([ALICE], [an_order()])

    @pytest.mark.parametrize(
        ("users", "orders"),
        [
            ([ALICE, User(BOB.id, ALICE.username, BOB.password_hash)], []),
            ([ALICE, User(ALICE.id, BOB.username, BOB.password_hash)], []),
            ([ALICE], [an_order(1), an_order(1)]),
            ([ALICE], [an_order(1), an_order(2, owner=BOB.id)]),
        ],
        ids=["one name", "one user id", "one order", "no owner"],
    )
    async def test_load_refuses_inconsistent_records(
        self, storage: Storage, users: list[User], orders: list[Order]
    ) -> None:
        with pytest.raises(ValueError, match=r"twice|without its owner"):
            await get_loader(storage).load(users, orders)
        assert await storage.users.find(ALICE.username) is None
        assert await storage.orders.get_owned(OrderId(1), owner=ALICE.id) is None

    async def test_two_owners_may_each_have_an_order_of_one_id(self, storage: Storage) -> None:
        await get_loader(storage).load([ALICE, BOB], [an_order(7, owner=1), an_order(7, owner=2)])
        assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) == an_order(7, owner=1)
        assert await storage.orders.get_owned(OrderId(7), owner=BOB.id) == an_order(7, owner=2)

    async def test_new_users_have_new_ids_when_users_were_loaded(self, storage: Storage) -> None:
        await get_loader(storage).load([ALICE, BOB], [])
        added = await storage.users.add(Username("carol"), PasswordHash("hash"))
        assert added.id not in {ALICE.id, BOB.id}

    async def test_new_account_replaces_no_loaded_one_when_ids_have_gaps(
        self, storage: Storage
    ) -> None:
        """Ids are not counted, and do not continue the loaded accounts' ids."""
        loaded = [User(UserId(i), Username(f"u{i}"), PasswordHash("h")) for i in (9, 2, 3, 5)]
        await get_loader(storage).load(loaded, [])
        added = [await storage.users.add(Username(f"n{i}"), PasswordHash("h")) for i in range(8)]
        subjects = [
            await storage.users.get_or_create_by_subject("https://id.example", f"{i}")
            for i in range(8)
        ]
        assert len({*(user.id for user in [*loaded, *added]), *subjects}) == 20
        for user in [*loaded, *added]:
            assert await storage.users.get(user.id) == user
            assert await storage.users.find(user.username) == user

    async def test_storage_with_an_external_account_is_not_empty(self, storage: Storage) -> None:
        await storage.users.get_or_create_by_subject("https://id.example", "alice")
        with pytest.raises(StorageNotEmpty):
            await get_loader(storage).load([ALICE], [])

    async def test_load_leaves_nothing_when_any_step_fails(self, storage: Storage) -> None:
        async def load(storage: Storage, attempt: int) -> bool:
            await get_loader(storage).load(iter([ALICE, BOB]), iter([an_order(1), bobs_order(2)]))
            return True

        await self.assert_atomic(storage, load)
        assert await storage.users.get(BOB.id) == BOB
        assert await storage.orders.get_owned(OrderId(2), owner=BOB.id) == bobs_order(2)

    async def test_load_is_atomic_when_any_step_meets_a_conflict(self, storage: Storage) -> None:
        """An iterator is read once; a repeated load needs what it read."""
        for step in count(1):
            await self.empty(storage)
            failure, users, orders = Failure(step), [ALICE, BOB], [an_order(1), bobs_order(2)]
            with self.conflict_at(storage, failure):
                try:
                    await get_loader(storage).load(iter(users), iter(orders))
                except StorageUnavailable:
                    users, orders = [], []
            for user in (ALICE, BOB):
                assert await storage.users.get(user.id) == (user if user in users else None)
            for order in (an_order(1), bobs_order(2)):
                found = await storage.orders.get_owned(order.id, owner=order.owner)
                assert found == (order if order in orders else None)
            if not failure.happened:
                break

    @pytest.mark.parametrize("subject", [False, True])
    async def test_account_does_not_exist_when_any_step_of_opening_fails(
        self, storage: Storage, *, subject: bool
    ) -> None:
        """A load succeeds, so that no hidden account is left either."""

        async def work() -> bool:
            if subject:
                return (
                    await storage.users.get_or_create_by_subject("https://id.example", "carol") > 0
                )
            return await add_a_user(storage, 1)

        for step in count(1):
            await self.empty(storage)
            if not await self.fails_at_step(storage, step, work):
                break
            await get_loader(storage).load([ALICE], [])

    async def test_parallel_loads_succeed_once(self, storage: Storage) -> None:
        people = [
            [User(UserId(i), Username(f"u{i}"), PasswordHash("h"))] for i in range(1, 1 + MANY)
        ]
        async with self.two_processes(storage) as storages:
            results = await asyncio.gather(
                *(
                    get_loader(each).load(some, [an_order(1, owner=some[0].id)])
                    for each, some in zip(storages, people, strict=True)
                ),
                return_exceptions=True,
            )
        assert [type(result) for result in results].count(StorageNotEmpty) == MANY - 1
        (winner,) = (i for i, result in enumerate(results) if result is None)
        owners = await storage.staff_orders.list_owners(OrderId(1))
        assert list(owners) == [people[winner][0].id]
