"""SQLite, opened for one process: reads where they are asked for, writes on one thread."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Self
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from adapters.sql.database import Database, T
from application.errors import StorageUnavailable

_SCHEME = "sqlite:///"

BUSY_SECONDS = 5.0
"""How long a write waits for another process's write before it gives up."""


class SqliteDatabase(Database):
    """One SQLite file.

    A read is a single statement outside any transaction, run in the event loop on a connection that
    is kept: an embedded point read takes microseconds, less than a hop to a thread. A write is a
    transaction that begins with BEGIN IMMEDIATE, since one that starts as a read and becomes a
    write cannot wait for the lock and fails; it runs on a thread of its own, one at a time.

    Whatever the engine reports beside a broken constraint is raised as `StorageUnavailable`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = _engine(path)
        self._reader: Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._writer: ThreadPoolExecutor | None = None

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
        return cls(Path(url.removeprefix(_SCHEME)))

    async def exists(self) -> bool:
        """Say whether there is a file."""
        with _file_errors(self._path):
            return self._path.is_file()

    async def check(self) -> None:
        """Let the open file go if it was replaced."""
        if self._reader is not None and self._opened != _identity(self._path):
            self._close_reader()
            raise StorageUnavailable(f"{self._path}: replaced or removed while it was open")

    async def migrate(self, work: Callable[[Connection], None]) -> None:
        """Make the file if there is none, readable by its owner alone, as its journal will be."""
        with _file_errors(self._path):
            _make_private_folder(self._path.parent)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        await self.write(work)

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        with _engine_errors(), self._engine.begin() as connection:
            return work(connection)

    async def write(
        self,
        work: Callable[[Connection], T],
        *,
        repeatable: bool = False,  # noqa: ARG002 - a file says whether it was committed
    ) -> T:
        """Run a write on the writing thread."""
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        return await asyncio.get_running_loop().run_in_executor(
            self._writer, self._transaction, work
        )

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run one statement that reads."""
        with _engine_errors():
            if self._reader is None:
                self._opened = _identity(self._path)
                self._reader = self._engine.connect().execution_options(
                    isolation_level="AUTOCOMMIT"
                )
            return work(self._reader)

    async def close(self) -> None:
        """Wait for the write under way and let the file go."""
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None
        self._close_reader()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _engine(path: Path) -> Engine:
    # mode=rw: a file that is gone is not made anew, empty and readable by others.
    address = f"file:{quote(os.fspath(path))}?mode=rw"

    def connect() -> SqliteConnection:
        return sqlite3.connect(
            address,
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _configure(connection: SqliteConnection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        file = path.stat()
    except OSError:
        return None
    return file.st_dev, file.st_ino


def _make_private_folder(folder: Path) -> None:
    if not folder.exists():
        _make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"{path}: {error.strerror}") from error


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise StorageUnavailable(f"SQLite: {error.orig}") from error
