"""Fill an empty storage with example data."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice

from ordergate.application.errors import MissingCapability
from ordergate.application.ports.passwords import PasswordHasher
from ordergate.application.ports.storage import BulkLoader
from ordergate.domain.money import Money
from ordergate.domain.order import Order, OrderId, OrderLine, OrderStatus
from ordergate.domain.user import Password, PasswordHash, User, UserId, Username

_FIRST_ORDER_AT = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
_CATALOGUE = [
    OrderLine(sku, name, quantity, Money.parse(price, "EUR"))
    for sku, name, quantity, price in [
        ("TEA-SENCHA-100", "Sencha, 100 g", 2, "9.80"),
        ("CUP-PORCELAIN", "Porcelain cup", 4, "12.50"),
        ("POT-CAST-IRON", "Cast-iron teapot", 1, "64.00"),
        ("TEA-ASSAM-250", "Assam, 250 g", 1, "14.90"),
        ("STRAINER-STEEL", "Tea strainer", 1, "7.25"),
        ("TIN-CADDY", "Tea caddy", 3, "5.40"),
        ("TEA-OOLONG-50", "Oolong, 50 g", 1, "11.00"),
    ]
]
_BASKETS = [
    tuple(islice(cycle(_CATALOGUE), start, start + lines))
    for start in range(len(_CATALOGUE))
    for lines in (1, 2)
]


@dataclass(frozen=True, slots=True)
class SeedStorage:
    """Load users `user1` to `userN` and orders 1 to M.

    User ((i-1) mod N)+1 owns order i. All users have one password, which is hashed once. `watch`
    receives the orders and passes them on, for a progress display.

    Raises:
        StorageNotEmpty: the storage has users or orders.
        InvalidPassword: the password is not valid text.
        MissingCapability: the storage has no bulk loader.
        ValueError: there are no users, or the number of orders is negative.
    """

    loader: BulkLoader | None
    hasher: PasswordHasher

    async def __call__(
        self,
        *,
        users: int,
        orders: int,
        password: str,
        watch: Callable[[Iterator[Order]], Iterable[Order]] = iter,
    ) -> None:
        if users < 1 or orders < 0:
            raise ValueError(
                "Seeding needs at least one user, and cannot take a negative number of orders."
            )
        if self.loader is None:
            raise MissingCapability(
                "this storage cannot be seeded, because it has no bulk loader; register users with"
                " `ordergate users add`, and place their orders through the API"
            )
        password_hash = await self.hasher.hash(Password.new(password))
        await self.loader.load(
            _make_users(users, password_hash), watch(_make_orders(orders, users))
        )


def _make_users(count: int, password_hash: PasswordHash) -> Iterator[User]:
    return (User(UserId(i), Username(f"user{i}"), password_hash) for i in range(1, count + 1))


def _make_orders(count: int, users: int) -> Iterator[Order]:
    statuses = list(OrderStatus)
    for i in range(1, count + 1):
        yield Order(
            id=OrderId(i),
            owner=UserId((i - 1) % users + 1),
            status=statuses[i % len(statuses)],
            placed_at=_FIRST_ORDER_AT + timedelta(seconds=i),
            lines=_BASKETS[i % len(_BASKETS)],
        )
