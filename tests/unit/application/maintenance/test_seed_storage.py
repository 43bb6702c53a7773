from collections.abc import Iterator

import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import MissingCapability, StorageNotEmpty
from ordergate.application.maintenance.seed_storage import SeedStorage
from ordergate.domain.errors import InvalidPassword
from ordergate.domain.order import Order
from ordergate.domain.user import Password
from tests.support.doubles import InstantPasswordHasher
from tests.support.storage.storages import BareStorage


async def seeded(users: int, orders: int) -> InMemoryStorage:
    storage = InMemoryStorage()
    seed = SeedStorage(storage.loader, InstantPasswordHasher())
    await seed(users=users, orders=orders, password="the password of all")
    return storage


async def test_users_are_numbered_and_share_a_hash_of_the_password() -> None:
    storage = await seeded(users=3, orders=0)
    assert [(user.id, str(user.username)) for user in storage.tables.users.values()] == [
        (1, "user1"),
        (2, "user2"),
        (3, "user3"),
    ]
    (password_hash,) = {user.password_hash for user in storage.tables.users.values()}
    hasher = InstantPasswordHasher()
    assert (await hasher.verify(Password("the password of all"), password_hash)).matches


async def test_orders_are_assigned_round_robin_from_id_1() -> None:
    storage = await seeded(users=3, orders=8)
    assert sorted((order.id, order.owner) for order in storage.tables.orders.values()) == [
        (i, (i - 1) % 3 + 1) for i in range(1, 9)
    ]


async def test_repeated_run_makes_the_same_orders() -> None:
    first, second = await seeded(users=7, orders=100), await seeded(users=7, orders=100)
    assert first.tables.orders == second.tables.orders
    assert len({order.lines for order in first.tables.orders.values()}) > 10


async def test_progress_is_shown_order_by_order() -> None:
    seen: list[int] = []

    def watch(orders: Iterator[Order]) -> Iterator[Order]:
        for order in orders:
            seen.append(order.id)
            yield order

    seed = SeedStorage(InMemoryStorage().loader, InstantPasswordHasher())
    await seed(users=2, orders=5, password="password", watch=watch)
    assert seen == [1, 2, 3, 4, 5]


async def test_storage_with_users_is_not_changed() -> None:
    storage = await seeded(users=1, orders=1)
    seed = SeedStorage(storage.loader, InstantPasswordHasher())
    with pytest.raises(StorageNotEmpty):
        await seed(users=2, orders=2, password="password")
    assert [str(user.username) for user in storage.tables.users.values()] == ["user1"]


@pytest.mark.parametrize(("users", "orders"), [(0, 1), (-1, 0), (1, -1)])
async def test_impossible_numbers_are_refused(users: int, orders: int) -> None:
    with pytest.raises(ValueError, match="at least one user"):
        await seeded(users, orders)


async def test_invalid_password_is_refused_before_storing() -> None:
    storage = InMemoryStorage()
    seed = SeedStorage(storage.loader, InstantPasswordHasher())
    with pytest.raises(InvalidPassword):
        await seed(users=1, orders=1, password="")
    assert not storage.tables.users


async def test_seeding_needs_a_bulk_loader() -> None:
    seed = SeedStorage(BareStorage().loader, InstantPasswordHasher())
    with pytest.raises(MissingCapability, match=r"no bulk loader; register users with"):
        await seed(users=1, orders=1, password="the password of all")
