"""What every storage does. A subclass names the parts; see CONTRIBUTING, "A new storage"."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings

from application.errors import StorageNotEmpty, UsernameTaken
from application.ports import BulkLoader, OrderRepository, Storage, UserRepository
from domain.order import Order, OrderId
from domain.user import MAX_ID, PasswordHash, User, UserId, Username
from tests.samples import ALICE, BOB, an_order, orders


@dataclass(frozen=True, slots=True)
class Parts:
    """A storage, migrated and open, with the repositories on it."""

    storage: Storage
    users: UserRepository
    orders: OrderRepository
    loader: BulkLoader


class StorageContract:
    """Every port of a storage: `Storage`, `UserRepository`, `OrderRepository`, `BulkLoader`."""

    @pytest.fixture
    def parts(self) -> Parts:
        raise NotImplementedError

    # Storage

    async def test_an_open_storage_answers(self, parts: Parts) -> None:
        await parts.storage.ping()

    async def test_migrating_again_changes_nothing(self, parts: Parts) -> None:
        await parts.loader.load([ALICE], [an_order()])
        parts.storage.migrate()
        assert await parts.users.find(ALICE.username) == ALICE
        assert await parts.orders.get_owned(OrderId(7), owner=ALICE.id) == an_order()

    async def test_closing_twice_is_closing_once(self, parts: Parts) -> None:
        await parts.storage.close()
        await parts.storage.close()

    async def test_what_is_stored_is_there_after_closing_and_opening(self, parts: Parts) -> None:
        await parts.users.add(Username("carol"), PasswordHash("hash"))
        await parts.storage.close()
        await parts.storage.open()
        assert await parts.users.find(Username("carol")) is not None

    # UserRepository

    async def test_a_user_is_found_by_name(self, parts: Parts) -> None:
        added = await parts.users.add(Username("Zoë"), PasswordHash("$2b$12$x"))
        assert added == User(added.id, Username("zoë"), PasswordHash("$2b$12$x"))
        assert 1 <= added.id <= MAX_ID
        assert await parts.users.find(Username("ZOË")) == added

    async def test_nobody_is_found_under_an_unknown_name(self, parts: Parts) -> None:
        await parts.users.add(Username("alice"), PasswordHash("hash"))
        assert await parts.users.find(Username("alic")) is None
        assert await parts.users.find(Username("alice%")) is None

    async def test_users_have_different_ids(self, parts: Parts) -> None:
        added = [await parts.users.add(Username(f"u{i}"), PasswordHash("h")) for i in range(5)]
        assert len({user.id for user in added}) == 5

    async def test_a_name_is_given_once(self, parts: Parts) -> None:
        first = await parts.users.add(Username("alice"), PasswordHash("first"))
        with pytest.raises(UsernameTaken):
            await parts.users.add(Username("ALICE"), PasswordHash("second"))
        assert await parts.users.find(Username("alice")) == first

    async def test_of_many_who_want_a_name_at_once_one_gets_it(self, parts: Parts) -> None:
        results = await asyncio.gather(
            *(parts.users.add(Username("alice"), PasswordHash(f"hash {i}")) for i in range(20)),
            return_exceptions=True,
        )
        winners = [result for result in results if isinstance(result, User)]
        assert [type(result) for result in results].count(UsernameTaken) == 19
        assert winners == [await parts.users.find(Username("alice"))]

    async def test_a_hash_is_replaced_if_it_is_still_the_old_one(self, parts: Parts) -> None:
        user = await parts.users.add(Username("alice"), PasswordHash("old"))
        other = await parts.users.add(Username("bob"), PasswordHash("old"))
        assert await parts.users.replace_password_hash(
            user.id, old=PasswordHash("old"), new=PasswordHash("new")
        )
        assert await parts.users.find(user.username) == User(
            user.id, user.username, PasswordHash("new")
        )
        assert await parts.users.find(other.username) == other

    async def test_a_hash_that_changed_meanwhile_is_left_alone(self, parts: Parts) -> None:
        user = await parts.users.add(Username("alice"), PasswordHash("changed"))
        assert not await parts.users.replace_password_hash(
            user.id, old=PasswordHash("old"), new=PasswordHash("new")
        )
        assert await parts.users.find(user.username) == user

    async def test_nobody_has_no_hash_to_replace(self, parts: Parts) -> None:
        assert not await parts.users.replace_password_hash(
            UserId(99), old=PasswordHash("old"), new=PasswordHash("new")
        )

    async def test_of_many_who_replace_a_hash_at_once_one_does(self, parts: Parts) -> None:
        user = await parts.users.add(Username("alice"), PasswordHash("old"))
        results = await asyncio.gather(
            *(
                parts.users.replace_password_hash(
                    user.id, old=PasswordHash("old"), new=PasswordHash(f"new {i}")
                )
                for i in range(20)
            )
        )
        stored = await parts.users.find(user.username)
        assert results.count(True) == 1
        assert stored == User(user.id, user.username, PasswordHash(f"new {results.index(True)}"))

    # OrderRepository

    async def test_an_owner_gets_the_whole_order(self, parts: Parts) -> None:
        await parts.loader.load([ALICE], [an_order()])
        assert await parts.orders.get_owned(OrderId(7), owner=ALICE.id) == an_order()

    async def test_an_order_of_someone_else_is_not_found(self, parts: Parts) -> None:
        await parts.loader.load([ALICE, BOB], [an_order(7, owner=ALICE.id)])
        assert await parts.orders.get_owned(OrderId(7), owner=BOB.id) is None

    async def test_an_order_that_does_not_exist_is_not_found(self, parts: Parts) -> None:
        await parts.loader.load([ALICE], [an_order(7)])
        for order_id in (1, 6, 8, MAX_ID):
            assert await parts.orders.get_owned(OrderId(order_id), owner=ALICE.id) is None

    async def test_the_largest_ids_are_ids(self, parts: Parts) -> None:
        owner = User(UserId(MAX_ID), Username("max"), PasswordHash("hash"))
        order = an_order(MAX_ID, owner=MAX_ID)
        await parts.loader.load([owner], [order])
        assert await parts.orders.get_owned(OrderId(MAX_ID), owner=owner.id) == order

    async def test_many_readers_at_once_each_get_their_order(self, parts: Parts) -> None:
        mine = [an_order(i, owner=1 + i % 2) for i in range(1, 101)]
        await parts.loader.load([ALICE, BOB], mine)
        got = await asyncio.gather(*(parts.orders.get_owned(o.id, owner=o.owner) for o in mine))
        assert got == mine

    @settings(
        max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(order=orders())
    async def test_an_order_comes_back_as_it_was_stored(self, parts: Parts, order: Order) -> None:
        await self.empty(parts)
        await parts.loader.load([ALICE], [order])
        assert await parts.orders.get_owned(order.id, owner=ALICE.id) == order

    async def empty(self, parts: Parts) -> None:
        """Remove everything, by a way of the storage's own."""
        raise NotImplementedError

    # BulkLoader

    async def test_users_and_orders_are_loaded_with_their_ids(self, parts: Parts) -> None:
        await parts.loader.load(iter([ALICE, BOB]), iter([an_order(3, 1), an_order(9, 2)]))
        assert await parts.users.find(BOB.username) == BOB
        assert await parts.orders.get_owned(OrderId(3), owner=ALICE.id) == an_order(3, 1)
        assert await parts.orders.get_owned(OrderId(9), owner=BOB.id) == an_order(9, 2)

    async def test_nothing_is_loaded_beside_what_is_there(self, parts: Parts) -> None:
        user = await parts.users.add(Username("alice"), PasswordHash("hash"))
        with pytest.raises(StorageNotEmpty):
            await parts.loader.load([BOB], [])
        assert await parts.users.find(BOB.username) is None
        assert await parts.users.find(user.username) == user

    async def test_a_load_that_fails_leaves_nothing(self, parts: Parts) -> None:
        def broken() -> Iterator[Order]:
            yield an_order()
            raise RuntimeError("no more orders")

        with pytest.raises(RuntimeError, match="no more orders"):
            await parts.loader.load([ALICE], broken())
        assert await parts.users.find(ALICE.username) is None
        await parts.loader.load([ALICE], [an_order()])

    async def test_after_a_load_new_users_get_new_ids(self, parts: Parts) -> None:
        await parts.loader.load([ALICE, BOB], [])
        added = await parts.users.add(Username("carol"), PasswordHash("hash"))
        assert added.id not in {ALICE.id, BOB.id}
