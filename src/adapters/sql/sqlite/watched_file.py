"""SQLite files that may be replaced while they are open.

A connection keeps the file that it opened, even after another is moved to its path: its commits are
then missing at the path. SQLite would also read the journal of the old file, which stays at the
path, as the new one's (https://sqlite.org/howtocorrupt.html, section 1.4). Each connection
therefore compares its file with the path at every use.
"""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from ordergate.adapters.sql.migrations import HEAD
from ordergate.adapters.sql.recognition import find_stored_revision
from ordergate.adapters.sql.sqlite.file import FileIdentity, get_file_identity, make_engine
from ordergate.application.errors import SchemaNotCurrent, StorageUnavailable

_log = logging.getLogger("ordergate.storage")

_JOURNALS = ("-wal", "-shm")


class _Opened(NamedTuple):
    """An open file of a connection, and the journals beside it."""

    file: FileIdentity
    journals: tuple[FileIdentity, ...]


class WatchedFile:
    """The path of a database, and its current file.

    The first file is accepted, because the storage was opened with it. A replacement is used if its
    schema is current. The use that notices it fails, so decisions from the old file are not applied
    to the new one. Any thread may call the methods.

    `generation` counts the noticed replacements and removals.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0
        self._name = os.fspath(path)
        self._lock = Lock()
        self._accepted: FileIdentity = None
        self._refused: FileIdentity = None
        self._is_missing = False
        self._open: list[_Opened] = []

    def identity(self) -> FileIdentity:
        """Return the identity of the file at the path."""
        return get_file_identity(self._name)

    def note_presence(self) -> None:
        """Fail again at the next replacement, after the file was missing."""
        self._is_missing = False

    def missing(self) -> StorageUnavailable:
        """Return the error of a missing file."""
        with self._lock:
            if not self._is_missing:
                self._is_missing = True
                self.generation += 1
        return self.replaced()

    def connect(self, engine: Engine, old: Connection | None) -> tuple[Connection, _Opened]:
        """Open the current file. `old` is a connection to the replaced one.

        Raises `StorageUnavailable` and engine errors.
        """
        with self._lock:
            file = self.identity()
            is_new = self._accepted is not None and file is not None and file != self._accepted
            if is_new:
                self._note_replacement(file)
                self._remove_old_journals(file, old)
            connection = engine.connect()
            try:
                opened = self._accept(connection, file)
                if is_new:
                    self._fail_first_use()
            except BaseException:
                connection.close()
                raise
            self._is_missing = False
            self._open.append(opened)
            return connection, opened

    def close(self, connection: Connection, opened: _Opened) -> None:
        """Close a connection.

        Closing the last one of a replaced file removes its journals.
        """
        with self._lock:
            now = self.identity()
            if now is not None and now != opened.file:
                self._remove_old_journals(now, connection)
            self._open.remove(opened)
            with suppress(Exception):  # the file may be gone, and what was begun with it
                connection.close()

    def replaced(self) -> StorageUnavailable:
        """Return the error of a use during a replacement or removal."""
        return StorageUnavailable(f"{self.path}: replaced or removed while it was open")

    def _fail_first_use(self) -> None:
        if not self._is_missing:
            raise self.replaced()

    def _note_replacement(self, file: FileIdentity) -> None:
        if file != self._refused:
            self._refused = file
            self.generation += 1
            _log.warning("database_replaced", extra={"file": self._name})

    def _accept(self, connection: Connection, file: FileIdentity) -> _Opened:
        if self._accepted is not None and file != self._accepted:
            connection.exec_driver_sql("BEGIN")
            try:
                revision = find_stored_revision(connection)
            except SchemaNotCurrent as error:
                raise StorageUnavailable(
                    f"{self.path}: replaced while it was open; {error}"
                ) from None
            connection.rollback()
            if revision != HEAD:
                raise StorageUnavailable(
                    f"{self.path}: replaced while it was open, by a database whose schema is not"
                    " current; run `ordergate migrate`"
                )
        journals = tuple(get_file_identity(self._name + each) for each in _JOURNALS)
        if self.identity() != file:
            raise self.replaced()
        self._accepted = file
        return _Opened(file, journals)

    def _remove_old_journals(self, file: FileIdentity, old: Connection | None) -> None:
        """Remove journals of a replaced file from the path.

        Their content is written into the replaced file first, wherever it is. Their inodes identify
        them, which the system does not reuse while a connection has them open.
        """
        for opened in {each for each in self._open if each.file != file}:
            if old is not None:
                with suppress(DBAPIError, sqlite3.Error):
                    old.execute(text("PRAGMA wal_checkpoint(PASSIVE)")).close()
            with suppress(OSError), _lock_folder(self.path.parent):
                for suffix, journal in zip(_JOURNALS, opened.journals, strict=True):
                    path = Path(self._name + suffix)
                    if journal is not None and get_file_identity(path) == journal:
                        path.unlink()


class WatchedConnection:
    """A connection to the current file at a path, for one thread."""

    def __init__(self, file: WatchedFile, *, busy_seconds: float | None = None) -> None:
        self._file = file
        self.engine = (
            make_engine(file.path)
            if busy_seconds is None
            else make_engine(file.path, busy_seconds=busy_seconds)
        )
        self._connection: Connection | None = None
        self._opened = _Opened(None, ())
        # Apart, for the comparison at every request.
        self._name = os.fspath(file.path)
        self._identity: FileIdentity = None

    def current(self) -> Connection:
        """Return a connection to the current file at the path.

        Raises engine errors, and `StorageUnavailable` when the open file was removed, or replaced
        by an unusable one. If the same file comes back, it is used again.
        """
        if self._connection is not None and get_file_identity(self._name) == self._identity:
            return self._connection
        return self._open()

    def is_current(self) -> bool:
        """Report whether the open file is still at the path."""
        return get_file_identity(self._name) == self._identity

    def close(self) -> None:
        """Release the file; may be called twice."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._file.close(connection, self._opened)

    def _open(self) -> Connection:
        old = self._connection
        if old is not None and self._file.identity() is None:
            raise self._file.missing()
        connection, opened = self._file.connect(self.engine, old)
        self.close()
        self._connection, self._opened, self._identity = connection, opened, opened.file
        return connection


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Let one process at a time remove journals."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
