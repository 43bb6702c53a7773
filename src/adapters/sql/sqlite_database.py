"""SQLite, opened for one process: small reads where they are asked for, the rest on threads."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, cast

from sqlalchemy import Connection, Insert, Select
from sqlalchemy.exc import DBAPIError

from adapters.files import is_file
from adapters.sql.database import Database, Rows, T, Values
from adapters.sql.sqlite_file import (
    FileIdentity,
    engine_errors,
    engine_of,
    file_errors,
    identity_of,
    make_private,
    unavailable,
)
from adapters.sql.sqlite_reader import SqliteReader
from adapters.sql.sqlite_statement import SqliteStatement
from adapters.sql.sqlite_writer import SqliteWriter
from application.errors import StorageUnavailable

_SCHEME = "sqlite:///"


def path_in(url: str) -> Path:
    """Return the file that a URL without a flaw names."""
    return Path(url.removeprefix(_SCHEME))


class SqliteDatabase(Database):
    """One SQLite file.

    A read is a single statement outside any transaction, run in the event loop on a connection that
    is kept: an embedded point read takes microseconds, less than a hop to a thread, and waits for
    no write. A large read has a thread and a connection of its own. Writes run on another thread,
    and are committed together when several wait.

    Whatever the engine reports beside a broken constraint is raised as `StorageUnavailable`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = engine_of(path)
        self._reader: Connection | None = None
        self._statements: dict[Select[Any] | Insert, SqliteStatement] = {}
        self._opened: FileIdentity = None
        self._large_reader: SqliteReader | None = None
        self._writer: SqliteWriter | None = None

    def __str__(self) -> str:
        return str(self._path)

    @staticmethod
    def flaw_in(url: str) -> str | None:
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

    async def check(self) -> None:
        """Let the open file go if it was replaced."""
        if self._reader is not None and self._opened != identity_of(self._path):
            self._close_reader()
            raise StorageUnavailable(f"{self._path}: replaced or removed while it was open")

    async def examine(self, work: Callable[[Connection], T]) -> T:
        """Read on a connection of its own that is not configured."""
        with (
            engine_errors(self._path),
            engine_of(self._path, configured=False).connect() as connection,
        ):
            return work(connection)

    async def migrate(self, work: Callable[[Connection], None]) -> None:
        """Make the file if there is none, and migrate on the writing thread."""
        make_private(self._path)
        await self.write(work)

    async def write(
        self,
        work: Callable[[Connection], T],
        *,
        repeatable: bool = False,  # noqa: ARG002 - a file says whether it was committed
    ) -> T:
        """Run a write on the writing thread."""
        if self._writer is None:
            self._writer = SqliteWriter(self._path)
        return await self._writer.run(work)

    async def read(self, work: Callable[[Connection], T], *, large: bool = False) -> T:
        """Run one statement that reads, here or on the thread for large ones."""
        if large:
            if self._large_reader is None:
                self._large_reader = SqliteReader(self._path)
            return await self._large_reader.run(work)
        with engine_errors(self._path):
            return work(self._connected())

    async def rows(self, query: Select[Any], values: Values) -> Rows:
        """Read here."""
        try:
            return self.run(self._connected(), query, values)
        except (DBAPIError, sqlite3.Error) as error:
            raise unavailable(error, self._path) from error

    def run(self, connection: Connection, statement: Select[Any] | Insert, *each: Values) -> Rows:
        """Run it past what SQLAlchemy does for each execution."""
        known = self._statements.get(statement)
        if known is None:
            known = self._statements[statement] = SqliteStatement(statement, self._engine.dialect)
        driver = connection.connection.driver_connection
        return known.run(cast("sqlite3.Connection", driver), *each)

    async def close(self) -> None:
        """Wait for what is under way and let the file go."""
        threads = (self._large_reader, self._writer)
        self._large_reader = self._writer = None
        self._close_reader()
        for each in threads:
            if each is not None:
                await each.close()

    def _connected(self) -> Connection:
        if self._reader is None:
            self._opened = identity_of(self._path)
            self._reader = self._engine.connect()
        return self._reader

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
