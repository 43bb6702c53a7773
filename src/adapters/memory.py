"""The whole storage in dictionaries: for tests and demonstrations, and to read before writing one.

Every method does its work without an `await` in the middle, so on one event loop each is atomic.
"""

from collections.abc import Iterable
from itertools import count

from application.errors import StorageNotEmpty, UsernameTaken
from application.ports import BulkLoader, OrderRepository, Storage, UserRepository
from domain.order import Order, OrderId
from domain.user import PasswordHash, User, UserId, Username

Users = dict[Username, User]
Subjects = dict[tuple[str, str], UserId]
Orders = dict[tuple[UserId, OrderId], Order]


class InMemoryUserRepository(UserRepository):
    """Accounts by name, or by issuer and subject."""

    def __init__(self, users: Users, subjects: Subjects) -> None:
        self._users = users
        self._subjects = subjects

    async def find(self, username: Username) -> User | None:
        """Look the name up."""
        return self._users.get(username)

    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        """Open the account under the next free id."""
        if username in self._users:
            raise UsernameTaken
        user = self._users[username] = User(self._free_id(), username, password_hash)
        return user

    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        """Swap the hash if it is still the old one."""
        for user in self._users.values():
            if user.id == user_id and user.password_hash == old:
                self._users[user.username] = User(user_id, user.username, new)
                return True
        return False

    async def of_subject(self, issuer: str, subject: str) -> UserId:
        """Look the pair up, or keep it with the next free id."""
        if (issuer, subject) not in self._subjects:
            self._subjects[issuer, subject] = self._free_id()
        return self._subjects[issuer, subject]

    def _free_id(self) -> UserId:
        taken = {user.id for user in self._users.values()} | set(self._subjects.values())
        return next(UserId(i) for i in count(1) if i not in taken)


class InMemoryOrderRepository(OrderRepository):
    """Orders by owner and id: the owner is part of the key."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        """Look the key up."""
        return self._orders.get((owner, order_id))


class InMemoryBulkLoader(BulkLoader):
    """Reads everything before it keeps anything, so that a failure leaves nothing."""

    def __init__(self, users: Users, subjects: Subjects, orders: Orders) -> None:
        self._users = users
        self._subjects = subjects
        self._orders = orders

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        """Fill both dictionaries."""
        if self._users or self._subjects or self._orders:
            raise StorageNotEmpty
        all_users = list(users)
        all_orders = list(orders)
        new_users = {user.username: user for user in all_users}
        new_orders = {(order.owner, order.id): order for order in all_orders}
        ids = {user.id for user in all_users}
        if not len(new_users) == len(ids) == len(all_users) or len(new_orders) < len(all_orders):
            raise ValueError("a user or an order is given twice")
        if not ids.issuperset(order.owner for order in all_orders):
            raise ValueError("an order is without its owner")
        self._users.update(new_users)
        self._orders.update(new_orders)


class InMemoryStorage(Storage):
    """Three dictionaries, open to be looked into; they are gone with the process."""

    def __init__(self) -> None:
        self.users_by_name: Users = {}
        self.ids_by_subject: Subjects = {}
        self.orders_by_key: Orders = {}
        self.users = InMemoryUserRepository(self.users_by_name, self.ids_by_subject)
        self.orders = InMemoryOrderRepository(self.orders_by_key)
        self.loader = InMemoryBulkLoader(
            self.users_by_name, self.ids_by_subject, self.orders_by_key
        )

    def migrate(self) -> None:
        """Do nothing: there is no schema."""

    async def open(self) -> None:
        """Do nothing: memory is always open."""

    async def close(self) -> None:
        """Do nothing: what is stored stays as long as this object."""

    async def ping(self) -> None:
        """Answer."""
