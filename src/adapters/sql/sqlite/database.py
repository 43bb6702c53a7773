"""SQLite, opened for one process: small reads where they are asked for, the rest on threads."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, cast

from sqlalchemy import Connection, Insert, Select
from sqlalchemy.exc import DBAPIError

from ordergate.adapters.sql.database import Database, Rows, T, Values
from ordergate.adapters.sql.sqlite.file import (
    engine_errors,
    engine_of,
    file_errors,
    make_private,
    unavailable,
)
from ordergate.adapters.sql.sqlite.reader import SqliteReader
from ordergate.adapters.sql.sqlite.statement import SqliteStatement
from ordergate.adapters.sql.sqlite.watched_file import WatchedConnection, WatchedFile
from ordergate.adapters.sql.sqlite.writer import SqliteWriter
from ordergate.adapters.system.files import is_file
from ordergate.application.errors import StorageUnavailable

_SCHEME = "sqlite:///"


def path_in(url: str) -> Path:
    """Return the file that a URL without a flaw names."""
    return Path(url.removeprefix(_SCHEME))


class SqliteDatabase(Database):
    """One SQLite file.

    A read is a single statement outside any transaction, run in the event loop on a connection that
    is kept: an embedded point read takes microseconds, less than a hop to a thread, and waits for
    no write. Large reads have a thread and a connection of their own, and shared reads another.
    Writes run on a third thread, and are committed together when several wait.

    A file that replaced the open one is noticed at the next use, which raises `StorageUnavailable`,
    and is used from then on if its schema is current.

    Whatever the engine reports beside a broken constraint is raised as `StorageUnavailable`.
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
    def url_error(url: str) -> str | None:
        """Say what is wrong with a URL that should name a file."""
        path = url.removeprefix(_SCHEME)
        if not url.startswith(_SCHEME) or {"?", "#", ":memory:"} & {path, *path}:
            path = ""
        return None if path.strip("/") else "must name a file, as in sqlite:///folder/orders.db"

    @classmethod
    def at(cls, url: str) -> Self:
        """Make the database that a URL without a flaw names."""
        return cls(path_in(url))

    async def exists(self) -> bool:
        """Say whether there is a file."""
        with file_errors(self._path):
            return is_file(self._path)

    def identity(self) -> int:
        """Return how often the file was found replaced."""
        return self._file.generation

    async def check(self) -> None:
        """Let go of a file that was replaced, and open the one that is there."""
        with engine_errors(self._path):
            if not self._reader.is_current():
                with suppress(StorageUnavailable):
                    self._reader.current()
            self._reader.current()
        self._file.note_presence()

    async def examine(self, work: Callable[[Connection], T]) -> T:
        """Read on a connection of its own that is not configured."""
        with (
            engine_errors(self._path),
            engine_of(self._path, configured=False).connect() as connection,
        ):
            connection.exec_driver_sql("BEGIN")
            return work(connection)

    async def migrate(self, work: Callable[[Connection], None]) -> None:
        """Make the file if there is none, and migrate on a writing thread.

        A writer of its own: that of the others takes no file whose schema is not current in the
        place of another.
        """
        make_private(self._path)
        writer = SqliteWriter(WatchedFile(self._path))
        try:
            await writer.run(work)
        finally:
            await writer.close()

    async def write(
        self,
        work: Callable[[Connection], T],
        *,
        repeatable: bool = False,  # noqa: ARG002 - a file says whether it was committed
    ) -> T:
        """Run a write on the writing thread."""
        if self._writer is None:
            self._writer = SqliteWriter(self._file)
        return await self._writer.run(work)

    async def read(
        self, work: Callable[[Connection], T], *, large: bool = False, shared: bool = False
    ) -> T:
        """Run one statement that reads, here or on the thread for such reads."""
        if shared:
            if self._shared_reader is None:
                self._shared_reader = SqliteReader(self._file, "sqlite-shared-reader")
            return await self._shared_reader.run(work)
        if large:
            if self._large_reader is None:
                self._large_reader = SqliteReader(self._file, "sqlite-reader")
            return await self._large_reader.run(work)
        with engine_errors(self._path):
            return work(self._reader.current())

    async def rows(self, query: Select[Any], values: Values) -> Rows:
        """Read here."""
        try:
            return self.run(self._reader.current(), query, values)
        except (DBAPIError, sqlite3.Error) as error:
            raise unavailable(error, self._path) from error

    def run(self, connection: Connection, statement: Select[Any] | Insert, *each: Values) -> Rows:
        """Run it past what SQLAlchemy does for each execution."""
        known = self._statements.get(statement)
        if known is None:
            known = self._statements[statement] = SqliteStatement(
                statement, self._reader.engine.dialect
            )
        driver = connection.connection.driver_connection
        return known.run(cast("sqlite3.Connection", driver), *each)

    async def close(self) -> None:
        """Wait for what is under way and let the file go."""
        threads = (self._large_reader, self._shared_reader, self._writer)
        self._large_reader = self._shared_reader = self._writer = None
        for each in threads:
            if each is not None:
                await each.close()
        self._reader.close()
