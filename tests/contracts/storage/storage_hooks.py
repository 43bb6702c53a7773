"""Hooks of the storage contracts."""

from collections.abc import Iterable

from ordergate.application.ports.storage import Storage
from ordergate.domain.order import Order
from ordergate.domain.user import User
from tests.support.storage.storage_calls import get_loader


class StorageHooks:
    """Hooks that a subclass overrides for its storage."""

    async def fill(
        self, storage: Storage, users: Iterable[User], orders: Iterable[Order] = ()
    ) -> None:
        """Store users and orders under their ids in an empty storage.

        A storage without a bulk loader overrides it.
        """
        await get_loader(storage).load(users, orders)

    async def empty(self, storage: Storage) -> None:
        """Remove all records."""
        raise NotImplementedError

    def another(self, storage: Storage) -> Storage:
        """Return an unopened storage of the same data for another process."""
        raise NotImplementedError
