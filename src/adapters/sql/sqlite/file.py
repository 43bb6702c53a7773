"""A SQLite file: how it is opened, made and recognized, and what its errors become."""

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
"""How long a write, or a read while the journal is recovered, waits for another process."""

_NO_DATABASE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REFUSED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}

JOURNALS = ("-wal", "-shm", "-journal")
"""What the names of the files end with that SQLite keeps beside a database."""

FileIdentity = tuple[int, int] | None
"""Tells a file from another that took its place; `None` where there is none."""


def identity_of(path: str | Path) -> FileIdentity:
    """Return the identity of the file that is there now."""
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
    """Open a file that exists, outside any transaction. Raises `sqlite3.Error`."""
    return sqlite3.connect(
        # A mode without c: a missing file is not created, empty and readable by others.
        f"file:{quote(os.fspath(path))}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
    )


def configure(connection: sqlite3.Connection) -> None:
    """Keep a journal beside the file that readers need not wait for, and all of it on the disk."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if not _has_temporary_folder():
        connection.execute("PRAGMA temp_store = MEMORY")


def _has_temporary_folder() -> bool:
    """Say whether SQLite finds a folder for the pages that a large transaction may restore.

    Without one such a transaction fails with "disk I/O error". https://sqlite.org/tempfiles.html
    lists the folders.
    """
    variables = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"))
    folders = (*filter(None, variables), "/var/tmp", "/usr/tmp", "/tmp", ".")  # noqa: S108 - as SQLite
    return any(Path(each).is_dir() and os.access(each, os.W_OK | os.X_OK) for each in folders)


def engine_of(path: Path, *, busy_seconds: float = BUSY_SECONDS, configured: bool = True) -> Engine:
    """Make what opens configured connections; none of them begins a transaction by itself."""
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
    """Make the file if there is none, readable by its owner alone, as its journal will be."""
    with file_errors(path):
        files.make_folder(path.parent)
        os.close(files.make_file(path))


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Raise `StorageUnavailable` for what the file system reports."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"{path}: {files.reason(error, path)}") from error


@contextmanager
def engine_errors(path: Path) -> Iterator[None]:
    """Raise `StorageUnavailable` for what the engine reports, but for a broken constraint."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, sqlite3.Error) as error:
        raise unavailable(error, path) from error


def unavailable(error: Exception, path: Path) -> StorageUnavailable:
    """Make an error of what the engine reports, without the statement and its values."""
    if isinstance(error, StorageUnavailable):
        return type(error)(*error.args)
    if is_damage(error):
        return StorageUnavailable(f"SQLite: {_reported(error)}; {damaged(path)}")
    reason = f"SQLite: {_reported(error)} ({path})"
    if _code(error) in _REFUSED:
        used = (path, *(Path(f"{path}{each}") for each in JOURNALS))
        if forbidden := files.obstacle(*used):
            reason += f"; {files.permissions(forbidden)}"
    return StorageUnavailable(reason)


def damaged(path: Path) -> str:
    """Say what to do about a damaged file."""
    return (
        f"the database {path} is damaged: restore a backup with `ordergate restore --replace FILE`"
    )


def is_busy(error: Exception) -> bool:
    """Say whether the engine reports a lock of another connection's."""
    return _code(error) == sqlite3.SQLITE_BUSY


def is_damage(error: Exception) -> bool:
    """Say whether the engine reports a file that is damaged or no database."""
    return _code(error) in _NO_DATABASE


def _code(error: Exception) -> int | None:
    code: int | None = getattr(_reported(error), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF  # the rest is a detail of it


def _reported(error: Exception) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error
