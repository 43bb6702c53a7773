"""The life of a SQL storage: migrated by one command, opened only when its schema is current."""

from sqlalchemy import Connection, inspect, text

from adapters.sql.migrations import HEAD
from adapters.sql.sqlite_database import SqliteDatabase
from application.errors import SchemaNotCurrent
from application.ports import Storage


class SqlStorage(Storage):
    """Users and orders in one SQL database."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def migrate(self) -> None:
        """Upgrade to the newest revision, all in one transaction that locks the database first."""
        from adapters.sql.migrator import upgrade  # noqa: PLC0415 - starts faster without Alembic

        self._database.create()
        self._database.transaction(upgrade)

    async def open(self) -> None:
        """Compare the revision stored in the database with this program's."""
        if not self._database.exists() or await self._database.read(_revision) != HEAD:
            raise SchemaNotCurrent

    async def close(self) -> None:
        """Wait for the write under way and let the database go."""
        self._database.close()

    async def ping(self) -> None:
        """Run SELECT 1."""
        await self._database.read(lambda connection: connection.scalar(text("SELECT 1")))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
