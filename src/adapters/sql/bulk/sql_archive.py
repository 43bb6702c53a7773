"""All records of a SQL database, read and written in pages."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import Connection, delete, func, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from ordergate.adapters.sql.bulk.archive_mapping import RECORD_MAPPINGS
from ordergate.adapters.sql.database import NO_OWNER, Database
from ordergate.adapters.sql.recognition import MIGRATIONS, TURNS, VERSIONS
from ordergate.adapters.sql.tables import CopyRow, Table, UserRow
from ordergate.application.errors import StorageNotEmpty
from ordergate.application.ports.archive import Archive, CopyCheckpoint, R, Record


class SqlArchive(Archive):
    """Reads by primary keys, so each page costs the same.

    A cursor is the last key.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, kind: type[Record]) -> int:
        """Count the rows."""
        query = select(func.count()).select_from(RECORD_MAPPINGS[kind].table)
        return await self._database.read(lambda c: c.execute(query).scalar_one(), large=True)

    async def read(self, kind: type[R], *, after: str = "", limit: int) -> tuple[Sequence[R], str]:
        """Read the rows after a primary key in one SELECT."""
        mapping = RECORD_MAPPINGS[kind]
        query = mapping.select_page(after, limit)

        def work(connection: Connection) -> tuple[Sequence[R], str]:
            rows = connection.execute(query).all()
            if not rows:
                return [], after
            return cast("Sequence[R]", mapping.records(rows)), mapping.encode_cursor(rows[-1])

        return await self._database.read(work, large=True)

    async def checkpoint(self) -> CopyCheckpoint | None:
        """Read the only row."""
        return await self._database.read(find_checkpoint)

    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        """Insert the records and update the checkpoint in one transaction."""

        def work(connection: Connection) -> None:
            self._database.take_turn(connection, NO_OWNER)
            values = {
                "source": checkpoint.source,
                "kind": checkpoint.kind,
                "after": checkpoint.after,
            }
            if connection.execute(update(CopyRow).values(values)).rowcount == 0:
                # Every other record belongs to an account.
                if connection.execute(select(col(UserRow.id)).limit(1)).first():
                    raise StorageNotEmpty
                connection.execute(insert(CopyRow), values)
            if records:
                RECORD_MAPPINGS[type(records[0])].insert(connection, records)

        try:
            await self._database.write(work)
        except IntegrityError:
            raise ValueError("a record is there already, or what it refers to is not") from None

    async def finish(self) -> None:
        """Delete the only row."""
        await self._database.write(lambda connection: connection.execute(delete(CopyRow)))

    async def list_left_behind(self) -> Sequence[str]:
        """Read the names of all tables that are not Ordergate's."""
        own = {*Table.metadata.tables, VERSIONS, MIGRATIONS, TURNS}
        return await self._database.examine(
            lambda connection: sorted({*inspect(connection).get_table_names()} - own)
        )


def find_checkpoint(connection: Connection) -> CopyCheckpoint | None:
    """Read the progress of an unfinished copy into this database."""
    query = select(col(CopyRow.source), col(CopyRow.kind), col(CopyRow.after))
    row = connection.execute(query).one_or_none()
    return CopyCheckpoint(*row) if row else None
