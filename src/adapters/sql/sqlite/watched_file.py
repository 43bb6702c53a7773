"""A SQLite file that may be replaced while this process has it open.

A connection goes on with the file that it opened, also after another was moved to its path: what it
commits is then missing at the path. And the journal of the old file, which stays beside the path,
would be read as the new one's (https://sqlite.org/howtocorrupt.html, section 1.4). So each
connection compares what it opened with what the path names, at every use.
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
from ordergate.adapters.sql.recognition import stored_revision
from ordergate.adapters.sql.sqlite.file import FileIdentity, engine_of, identity_of
from ordergate.application.errors import SchemaNotCurrent, StorageUnavailable

_log = logging.getLogger("ordergate.storage")

_JOURNALS = ("-wal", "-shm")


class _Opened(NamedTuple):
    """A file that a connection has open, and the journals beside it."""

    file: FileIdentity
    journals: tuple[FileIdentity, ...]


class WatchedFile:
    """The path of a database, and which file there this process works with.

    The first file is taken as it is: the storage was opened with it. One that takes its place is
    used when its schema is current. The use that notices it fails, so that what was decided by the
    old file is not applied to the new one. Any thread may call the methods.

    `generation` counts how often the file was found replaced or removed.
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
        """Return the identity of the file that is there now."""
        return identity_of(self._name)

    def note_presence(self) -> None:
        """Expect a failure at the next replacement again, after the file was missing."""
        self._is_missing = False

    def missing(self) -> StorageUnavailable:
        """Make the error of a use while there is no file."""
        with self._lock:
            if not self._is_missing:
                self._is_missing = True
                self.generation += 1
        return self.replaced()

    def connect(self, engine: Engine, old: Connection | None) -> tuple[Connection, _Opened]:
        """Open the file that is there. `old` is a connection to one that it replaced.

        Raises `StorageUnavailable`, and what the engine reports.
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
        """Close a connection; with the last one of a file that was replaced, go its journals."""
        with self._lock:
            now = self.identity()
            if now is not None and now != opened.file:
                self._remove_old_journals(now, connection)
            self._open.remove(opened)
            with suppress(Exception):  # the file may be gone, and what was begun with it
                connection.close()

    def replaced(self) -> StorageUnavailable:
        """Make the error of a use that the file was replaced or removed under."""
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
                revision = stored_revision(connection)
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
        journals = tuple(identity_of(self._name + each) for each in _JOURNALS)
        if self.identity() != file:
            raise self.replaced()
        self._accepted = file
        return _Opened(file, journals)

    def _remove_old_journals(self, file: FileIdentity, old: Connection | None) -> None:
        """Remove the journals at the path that belong to a file that was replaced.

        What they hold is first written into that file, wherever it is now. They are recognized by
        their inodes, which are not used again as long as a connection has them open.
        """
        for opened in {each for each in self._open if each.file != file}:
            if old is not None:
                with suppress(DBAPIError, sqlite3.Error):
                    old.execute(text("PRAGMA wal_checkpoint(PASSIVE)")).close()
            with suppress(OSError), _locked(self.path.parent):
                for suffix, journal in zip(_JOURNALS, opened.journals, strict=True):
                    path = Path(self._name + suffix)
                    if journal is not None and identity_of(path) == journal:
                        path.unlink()


class WatchedConnection:
    """A connection to the file that a path names, for one thread at a time."""

    def __init__(self, file: WatchedFile, *, busy_seconds: float | None = None) -> None:
        self._file = file
        self.engine = (
            engine_of(file.path)
            if busy_seconds is None
            else engine_of(file.path, busy_seconds=busy_seconds)
        )
        self._connection: Connection | None = None
        self._opened = _Opened(None, ())
        # Apart, for the comparison at every request.
        self._name = os.fspath(file.path)
        self._identity: FileIdentity = None

    def current(self) -> Connection:
        """Return a connection to the file that is at the path now.

        Raises `StorageUnavailable` when the open file was removed, or replaced by one that cannot
        be used, and what the engine reports. If the same file comes back, it is used on.
        """
        if self._connection is not None and identity_of(self._name) == self._identity:
            return self._connection
        return self._open()

    def is_current(self) -> bool:
        """Say whether the path still names the open file."""
        return identity_of(self._name) == self._identity

    def close(self) -> None:
        """Let the file go; may be called twice."""
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
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock by which processes take turns to remove journals."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
