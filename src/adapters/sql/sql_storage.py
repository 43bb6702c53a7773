"""A SQL storage: migrated by a command, opened with a current schema."""

from collections.abc import Hashable
from dataclasses import replace

from sqlalchemy import Connection, text

from ordergate.adapters.sql.bulk.sql_archive import SqlArchive, find_checkpoint
from ordergate.adapters.sql.bulk.sql_bulk_loader import SqlBulkLoader
from ordergate.adapters.sql.database import CheckedReader, Database
from ordergate.adapters.sql.migrations import HEAD
from ordergate.adapters.sql.recognition import REVISIONS, find_stored_revision
from ordergate.adapters.sql.repositories.open_orders import has_open_orders
from ordergate.adapters.sql.repositories.secret import find_secret
from ordergate.adapters.sql.repositories.sql_order_repository import (
    SqlOrderRepository,
    SqlStaffOrders,
)
from ordergate.adapters.sql.repositories.sql_session_repository import SqlSessionRepository
from ordergate.adapters.sql.repositories.sql_user_repository import SqlUserRepository
from ordergate.application.errors import CopyUnfinished, SchemaNotCurrent, StorageMissing
from ordergate.application.ports.archive import Archive
from ordergate.application.ports.storage import (
    BulkLoader,
    ConnectionLoad,
    GroupCommitInspector,
    GroupCommits,
    PoolInspector,
    ReadCopyInspector,
    ServerInspector,
    ServerWork,
    Storage,
    StorageFacts,
    StorageInspector,
)


class SqlStorage(
    Storage,
    StorageInspector,
    PoolInspector,
    ServerInspector,
    GroupCommitInspector,
    ReadCopyInspector,
):
    """Users, sessions and orders in one SQL database.

    Owners' reads of orders may go to a copy of it.
    """

    loader: BulkLoader
    archive: Archive

    def __init__(self, database: Database, order_reads: CheckedReader | None = None) -> None:
        self._database, self._order_reads = database, order_reads
        self.users = SqlUserRepository(database, has_open_orders=has_open_orders)
        self.sessions = SqlSessionRepository(database)
        self.orders = SqlOrderRepository(database, order_reads)
        self.staff_orders = SqlStaffOrders(database)
        self.loader = SqlBulkLoader(database)
        self.archive = SqlArchive(database)

    async def migrate(self) -> None:
        """Upgrade to the newest revision in one exclusive transaction.

        A foreign database is left unchanged.
        """
        from ordergate.adapters.sql.migrator import upgrade

        def to_head(connection: Connection) -> None:
            _refuse_newer(find_stored_revision(connection))
            upgrade(connection)

        if await self._database.exists():
            _refuse_newer(await self._database.examine(find_stored_revision))
        await self._database.migrate(to_head)

    async def open(self, *, unfinished: bool = False) -> None:
        """Compare the stored revision with this program's."""
        await self._require_current_schema()
        if not unfinished and await self.archive.checkpoint():
            raise CopyUnfinished

    async def inspect(self) -> StorageFacts:
        """Return the properties of the database, and compare the revision."""
        await self._require_database()
        facts = await self._database.inspect()
        return replace(facts, schema_error=await self._find_schema_error())

    async def _find_schema_error(self) -> str | None:
        try:
            await self._require_current_schema()
        except SchemaNotCurrent as error:
            return str(error)
        # Not by `read`, which may set the journal mode of a file.
        return str(CopyUnfinished()) if await self._database.examine(find_checkpoint) else None

    async def _require_database(self) -> None:
        if not await self._database.exists():
            raise StorageMissing(self._database)

    async def _require_current_schema(self) -> None:
        await self._require_database()
        revision = await self._database.examine(find_stored_revision)
        _refuse_newer(revision)
        if revision != HEAD:
            raise SchemaNotCurrent(
                "the database's schema is not current; run `ordergate migrate`",
                needs_migration=True,
            )
        if error := await self._database.find_schema_error():
            raise SchemaNotCurrent(error)

    async def close(self) -> None:
        """Finish the current write and release the database."""
        if self._order_reads:
            await self._order_reads.close()
        await self._database.close()

    async def ping(self) -> None:
        """Read the revision, because SELECT 1 does not access a SQLite file."""
        await self._database.check()
        await self._database.read(lambda connection: connection.scalar(text(REVISIONS)))

    def count_connections(self) -> ConnectionLoad | None:
        """Count the connections of the database."""
        return self._database.count_connections()

    def count_work(self) -> ServerWork | None:
        """Count the work on the database server."""
        return self._database.count_work()

    def count_commits(self) -> GroupCommits | None:
        """Count the group commits of the database."""
        return self._database.count_commits()

    async def time_read_copy(self) -> float | None:
        """Read at the copy of the database."""
        return await self._order_reads.time_copy() if self._order_reads else None

    def identity(self) -> Hashable:
        """Return the identity of the database."""
        return self._database.identity()

    async def get_secret(self) -> bytes:
        """Read the secret that the migration drew."""
        return await find_secret(self._database)


def _refuse_newer(revision: str | None) -> None:
    if revision is not None and revision > HEAD:
        raise SchemaNotCurrent("the database was made by a newer Ordergate; install that version")
