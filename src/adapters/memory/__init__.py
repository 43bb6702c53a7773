"""The whole storage in dictionaries: for tests and demonstrations, and to read before writing one.

Every method does its work without an `await` in the middle, so on one event loop each is atomic.
"""

import secrets

from ordergate.adapters.memory.archive import InMemoryArchive
from ordergate.adapters.memory.orders import (
    InMemoryBulkLoader,
    InMemoryOrderRepository,
    InMemoryStaffOrders,
)
from ordergate.adapters.memory.sessions import InMemorySessionRepository
from ordergate.adapters.memory.tables import Tables
from ordergate.adapters.memory.users import InMemoryUserRepository
from ordergate.application.errors import CopyUnfinished
from ordergate.application.ports.storage import Storage

__all__ = [
    "InMemoryOrderRepository",
    "InMemorySessionRepository",
    "InMemoryStorage",
    "InMemoryUserRepository",
    "Tables",
]


class InMemoryStorage(Storage):
    """Dictionaries, open to be looked into in `tables`; they are gone with the process."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.users = InMemoryUserRepository(self.tables)
        self.sessions = InMemorySessionRepository(self.tables)
        self.orders = InMemoryOrderRepository(self.tables)
        self.staff_orders = InMemoryStaffOrders(self.tables)
        self.loader = InMemoryBulkLoader(self.tables)
        self.archive = InMemoryArchive(self.tables)
        self._secret = secrets.token_bytes(32)

    async def migrate(self) -> None:
        """Do nothing: there is no schema."""

    async def open(self, *, unfinished: bool = False) -> None:
        """Look whether it is whole: memory is always open."""
        if self.tables.checkpoint and not unfinished:
            raise CopyUnfinished

    async def close(self) -> None:
        """Do nothing: what is stored stays as long as this object."""

    async def ping(self) -> None:
        """Answer."""

    async def get_secret(self) -> bytes:
        """Return what was drawn with this object."""
        return self._secret
