"""The storage."""

import secrets

from ordergate.application.errors import CopyUnfinished, SchemaNotCurrent, StorageUnavailable
from ordergate.application.ports.archive import Archive
from ordergate.application.ports.storage import BulkLoader, Storage

from .database import LmdbDatabase
from .keys import SCHEMA_KEY, SECRET_KEY, encode_number
from .loading import LmdbArchive, LmdbBulkLoader
from .orders import LmdbOrderRepository, LmdbStaffOrders
from .sessions import LmdbSessionRepository
from .transactions import Transaction
from .users import LmdbUserRepository

SCHEMA = 1


class LmdbStorage(Storage):
    """Users, sessions and orders in one LMDB environment."""

    loader: BulkLoader
    archive: Archive

    def __init__(self, database: LmdbDatabase) -> None:
        self._database = database
        self.users = LmdbUserRepository(database)
        self.sessions = LmdbSessionRepository(database)
        self.orders = LmdbOrderRepository(database)
        self.staff_orders = LmdbStaffOrders(database)
        self.loader = LmdbBulkLoader(database)
        self.archive = LmdbArchive(database)

    async def migrate(self) -> None:
        """Make the file and what is in every one."""

        def work(view: Transaction) -> None:
            if not read_schema(view):
                view.put(SCHEMA_KEY, encode_number(SCHEMA))
                view.put(SECRET_KEY, secrets.token_bytes(32))

        try:
            self._database.open(create=True)
        except OSError as error:
            raise StorageUnavailable(f"{self._database.folder}: {error.strerror}") from error
        await self._database.write(work)

    async def open(self, *, unfinished: bool = False) -> None:
        """Check the version of the schema, and look for a checkpoint."""
        if not (self._database.exists() and self._database.read(read_schema) == SCHEMA):
            raise SchemaNotCurrent("the database's schema is not current; run `ordergate migrate`")
        if not unfinished and await self.archive.checkpoint():
            raise CopyUnfinished

    async def close(self) -> None:
        """Wait for the write under way and let the file go."""
        self._database.close()

    async def ping(self) -> None:
        """Read a key, and see that the file is still there."""
        if not self._database.exists():
            raise StorageUnavailable(f"{self._database.folder}: there is no database")
        self._database.read(read_schema)

    async def get_secret(self) -> bytes:
        """Read what the migration drew."""
        return self._database.read(lambda view: view.get(SECRET_KEY))


def read_schema(view: Transaction) -> int:
    """Return the number of the file's schema, 0 before there is one."""
    schema = int.from_bytes(view.get(SCHEMA_KEY))
    if schema > SCHEMA:
        raise SchemaNotCurrent("the database was made by a newer Ordergate; install that version")
    return schema
