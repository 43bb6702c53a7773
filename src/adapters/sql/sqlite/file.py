"""SQLite files: opening, creating, recognizing, and their errors."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from ordergate.adapters.system import files
from ordergate.application.errors import StorageUnavailable

BUSY_SECONDS = 5.0
"""How long a write, or a read during recovery, waits for another process."""

_NO_DATABASE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REFUSED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}

JOURNALS = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite keeps beside a database."""

FileIdentity = tuple[int, int] | None
"""Identifies a file among those at its path; `None` without a file."""


def get_file_identity(path: str | Path) -> FileIdentity:
    """Return the identity of the file at the path."""
    try:
        file = os.stat(path)  # noqa: PTH116 - at every request; pathlib takes longer
    except OSError:
        return None
    return file.st_dev, file.st_ino


def connect(
    path: Path,
    *,
    mode: Literal["ro", "ro&immutable=1", "rw"] = "rw",
    busy_seconds: float = BUSY_SECONDS,
) -> sqlite3.Connection:
    """Open an existing file outside any transaction. Raises `sqlite3.Error`."""
    return sqlite3.connect(
        # A mode without c: a missing file is not created, empty and readable by others.
        f"file:{quote(os.fspath(path))}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
    )


def configure(connection: sqlite3.Connection) -> None:
    """Use a write-ahead log that each commit writes to the disk."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if not _has_temporary_folder():
        connection.execute("PRAGMA temp_store = MEMORY")


def read_pragmas(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the pragmas of a connection that `configure` changes, in words."""
    words = {
        "journal_mode": {},
        "synchronous": {0: "off", 1: "normal", 2: "full", 3: "extra"},
        "foreign_keys": {0: "off", 1: "on"},
        "temp_store": {0: "file", 1: "file", 2: "memory"},
    }
    found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in words}
    return {name: words[name].get(value, str(value)) for name, value in found.items()}


def _has_temporary_folder() -> bool:
    """Report whether SQLite finds a folder for temporary pages.

    Without it, large transactions fail with "disk I/O error". https://sqlite.org/tempfiles.html
    lists the folders.
    """
    variables = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"))
    folders = (*filter(None, variables), "/var/tmp", "/usr/tmp", "/tmp", ".")
    return any(Path(each).is_dir() and os.access(each, os.W_OK | os.X_OK) for each in folders)


def make_engine(
    path: Path, *, busy_seconds: float = BUSY_SECONDS, configured: bool = True
) -> Engine:
    """Return an engine of configured connections that begin no transactions."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: connect(path, busy_seconds=busy_seconds),
        poolclass=NullPool,
        hide_parameters=True,
    )

    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        configure(connection)

    if configured:
        event.listen(engine, "connect", _configure)
    return engine


def make_private(path: Path) -> None:
    """Create a missing file that only its owner can read.

    The journals get the same mode.
    """
    with file_errors(path):
        files.make_folder(path.parent)
        os.close(files.make_file(path))


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Raise `StorageUnavailable` for errors of the file system."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"{path}: {files.reason(error, path)}") from error


@contextmanager
def engine_errors(path: Path) -> Iterator[None]:
    """Raise `StorageUnavailable` for engine errors except violated constraints."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, sqlite3.Error) as error:
        raise unavailable(error, path) from error


def unavailable(error: Exception, path: Path) -> StorageUnavailable:
    """Return an error for an engine error, without statement and values."""
    if isinstance(error, StorageUnavailable):
        return type(error)(*error.args)
    if is_damage(error):
        return StorageUnavailable(f"SQLite: {_find_reported(error)}; {damaged(path)}")
    reason = f"SQLite: {_find_reported(error)} ({path})"
    if _get_code(error) in _REFUSED:
        used = (path, *(Path(f"{path}{each}") for each in JOURNALS))
        if forbidden := files.find_obstacle(*used):
            reason += f"; {files.read_permissions(forbidden)}"
    return StorageUnavailable(reason)


def damaged(path: Path) -> str:
    """Describe what to do about a damaged file."""
    return (
        f"the database {path} is damaged: restore a backup with `ordergate restore --replace FILE`"
    )


def is_busy(error: Exception) -> bool:
    """Report whether another connection holds the lock."""
    return _get_code(error) == sqlite3.SQLITE_BUSY


def is_damage(error: Exception) -> bool:
    """Report whether the file is damaged or not a database."""
    return _get_code(error) in _NO_DATABASE


def _get_code(error: Exception) -> int | None:
    code: int | None = getattr(_find_reported(error), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF  # the rest is a detail of it


def _find_reported(error: Exception) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error
