"""A SQLite database: small reads in the event loop, others on threads."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self, cast

from sqlalchemy import Connection, Insert, Select
from sqlalchemy.exc import DBAPIError
from typing_extensions import override

from ordergate.adapters.sql.database import Database, Rows, T, Values
from ordergate.adapters.sql.sqlite.file import (
    configure,
    connect,
    engine_errors,
    file_errors,
    make_engine,
    make_private,
    read_pragmas,
    unavailable,
)
from ordergate.adapters.sql.sqlite.reader import SqliteReader
from ordergate.adapters.sql.sqlite.statement import SqliteStatement
from ordergate.adapters.sql.sqlite.watched_file import WatchedConnection, WatchedFile
from ordergate.adapters.sql.sqlite.writer import SqliteWriter
from ordergate.adapters.sql.statement_spans import trace_statements
from ordergate.adapters.system.files import is_file
from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.storage import GroupCommits, StorageFacts

_SCHEME = "sqlite:///"

_SOUND = (3, 51, 3)
_REPAIRED = "3.50.7"
_RISK = (
    "this version of SQLite can damage a database that several processes write, in rare cases"
    " (https://sqlite.org/wal.html#walresetbug)"
)


def find_path(url: str) -> Path:
    """Return the path in a valid URL."""
    return Path(url.removeprefix(_SCHEME))


class SqliteDatabase(Database):
    """One SQLite file.

    A read is a single statement outside any transaction. It runs in the event loop on a permanent
    connection: an embedded point read takes microseconds, less than a hop to a thread, and waits
    for no write. Large reads have their own thread and connection, and so have shared reads. Writes
    run on another thread, which commits waiting ones together.

    A replacement of the open file is noticed at the next use, which raises `StorageUnavailable`.
    The new file is used from then on, if its schema is current.

    Engine errors except violated constraints become `StorageUnavailable`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = WatchedFile(path)
        self._reader = WatchedConnection(self._file)
        self._statements: dict[Select[Any] | Insert, SqliteStatement] = {}
        self._large_reader: SqliteReader | None = None
        self._shared_reader: SqliteReader | None = None
        self._writer: SqliteWriter | None = None

    def __str__(self) -> str:
        return str(self._path)

    @staticmethod
    def find_url_error(url: str) -> str | None:
        """Describe the mistake in a URL of a file."""
        path = url.removeprefix(_SCHEME)
        if not url.startswith(_SCHEME) or {"?", "#", ":memory:"} & {path, *path}:
            path = ""
        return None if path.strip("/") else "must name a file, as in sqlite:///folder/orders.db"

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the database of a valid URL."""
        return cls(find_path(url))

    async def exists(self) -> bool:
        """Report whether the file exists."""
        with file_errors(self._path):
            return is_file(self._path)

    def identity(self) -> int:
        """Return the number of replacements that were noticed."""
        return self._file.generation

    async def check(self) -> None:
        """Release a replaced file and open the new one."""
        with engine_errors(self._path):
            if not self._reader.is_current():
                with suppress(StorageUnavailable):
                    self._reader.current()
            self._reader.current()
        self._file.note_presence()

    async def examine(self, work: Callable[[Connection], T]) -> T:
        """Read on a separate connection without configuration."""
        with (
            engine_errors(self._path),
            make_engine(self._path, configured=False).connect() as connection,
        ):
            connection.exec_driver_sql("BEGIN")
            return work(connection)

    async def inspect(self) -> StorageFacts:
        """Read the pragmas that servers use.

        Another journal mode than WAL is reported unchanged, and nothing else with it.
        """
        with engine_errors(self._path), closing(connect(self._path)) as connection:
            ticks = time.perf_counter()
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            seconds = time.perf_counter() - ticks
            (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
            pragmas = {"journal_mode": str(journal)}
            if journal == "wal":
                configure(connection)
                pragmas = read_pragmas(connection)
        is_faulty = sqlite3.sqlite_version_info < _SOUND and sqlite3.sqlite_version != _REPAIRED
        return StorageFacts(
            product=f"SQLite {sqlite3.sqlite_version}",
            round_trip=seconds,
            details=pragmas,
            risk=_RISK if is_faulty else None,
        )

    async def migrate(self, work: Callable[[Connection], None]) -> None:
        """Create a missing file and migrate on a separate writing thread.

        The regular writer accepts no replacement without a current schema.
        """
        make_private(self._path)
        writer = SqliteWriter(WatchedFile(self._path))
        try:
            await writer.run(work)
        finally:
            await writer.close()

    @override
    async def write(self, work: Callable[[Connection], T], *, repeatable: bool = False) -> T:
        """Run a write on the writing thread."""
        if self._writer is None:
            self._writer = SqliteWriter(self._file)
        return await self._writer.run(work)

    async def read(
        self, work: Callable[[Connection], T], *, large: bool = False, shared: bool = False
    ) -> T:
        """Run one reading statement in the event loop or on its thread."""
        if shared:
            if self._shared_reader is None:
                self._shared_reader = SqliteReader(self._file, "sqlite-shared-reader")
            return await self._shared_reader.run(work)
        if large:
            if self._large_reader is None:
                self._large_reader = SqliteReader(self._file, "sqlite-reader")
            return await self._large_reader.run(work)
        trace_statements(self._reader.engine)
        with engine_errors(self._path):
            return work(self._reader.current())

    async def rows(self, query: Select[Any], values: Values) -> Rows:
        """Read in the event loop."""
        try:
            return self.run(self._reader.current(), query, values)
        except (DBAPIError, sqlite3.Error) as error:
            raise unavailable(error, self._path) from error

    def run(self, connection: Connection, statement: Select[Any] | Insert, *each: Values) -> Rows:
        """Run the statement without SQLAlchemy's preparation."""
        known = self._statements.get(statement)
        if known is None:
            known = self._statements[statement] = SqliteStatement(
                statement, self._reader.engine.dialect
            )
        driver = connection.connection.driver_connection
        return known.run(cast("sqlite3.Connection", driver), *each)

    @override
    def count_commits(self) -> GroupCommits:
        """Count the commits of the writing thread."""
        return self._writer.count_commits() if self._writer else GroupCommits((), 0)

    async def close(self) -> None:
        """Finish open jobs and release the file."""
        threads = (self._large_reader, self._shared_reader, self._writer)
        self._large_reader = self._shared_reader = self._writer = None
        for each in threads:
            if each is not None:
                await each.close()
        self._reader.close()
