"""The whole storage in dictionaries, for tests and demonstrations.

Read it before you write a storage. No method awaits in the middle of its work, so each is atomic on
one event loop.
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
from ordergate.application.ports.archive import Archive
from ordergate.application.ports.storage import BulkLoader, Storage

__all__ = [
    "InMemoryOrderRepository",
    "InMemorySessionRepository",
    "InMemoryStorage",
    "InMemoryUserRepository",
    "Tables",
]


class InMemoryStorage(Storage):
    """Storage in dictionaries, which end with the process; `tables` shows them."""

    loader: BulkLoader
    archive: Archive

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
        """Check that no copy is unfinished."""
        if self.tables.checkpoint and not unfinished:
            raise CopyUnfinished

    async def close(self) -> None:
        """Do nothing: the data stays as long as this object."""

    async def ping(self) -> None:
        """Do nothing: memory is always available."""

    async def get_secret(self) -> bytes:
        """Return the secret that was drawn with this object."""
        return self._secret
