"""A SQLite file copied, replaced and looked over, by SQLite's own means and inside its locks."""

import fcntl
import os
import re
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Self

from ordergate.adapters.sql.migrations import HEAD
from ordergate.adapters.sql.recognition import (
    COLUMNS_OF,
    REVISIONS,
    TABLES,
    VERSIONS,
    ForeignSchema,
    recognize,
)
from ordergate.adapters.sql.sqlite.copy import (
    backup_to,
    open_read_only,
    restore_into,
    run_interruptibly,
)
from ordergate.adapters.sql.sqlite.database import path_in
from ordergate.adapters.sql.sqlite.file import (
    JOURNALS,
    connect,
    damaged,
    engine_errors,
    file_errors,
    is_damage,
    make_private,
    unavailable,
)
from ordergate.adapters.system import files
from ordergate.adapters.system.background import run_at_idle_priority
from ordergate.application.errors import BackupRefused, StorageUnavailable
from ordergate.application.ports.storage_file import Contents, StorageFile

_HIDDEN = re.compile(r"\.ordergate-[0-9a-f]{16}")


class SqliteFile(StorageFile):
    """One SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def at(cls, url: str) -> Self:
        """Make the file that a URL without a flaw names."""
        return cls(path_in(url))

    def check(self, *, seconds: float | None) -> bool:
        """Run PRAGMA quick_check on a thread, and interrupt it when the time is over.

        A SQLite before 3.41 notices that late, and continues in the background for a while. What
        runs in the background is of idle priority, as hashing is, which would wait for it
        otherwise. A check that the caller waits for is not: beside busy programs it would take all
        its time.
        """
        if not self._path.exists():
            return True
        found: list[str] = []
        failures: list[sqlite3.Error] = []
        with engine_errors(self._path):
            connection = connect(self._path)

        def look() -> None:
            if seconds is None:
                run_at_idle_priority()
            with closing(connection):
                try:
                    found.extend(row[0] for row in connection.execute("PRAGMA quick_check(1)"))
                except sqlite3.Error as error:
                    failures.append(error)

        looking = Thread(target=look, name="sqlite-check", daemon=True)
        looking.start()
        looking.join(seconds)
        if looking.is_alive():
            if looking.native_id is not None:
                run_at_idle_priority(looking.native_id)
            with suppress(sqlite3.ProgrammingError):  # it ended just now
                connection.interrupt()
            return False
        if any(is_damage(error) for error in failures) or (found != ["ok"] and not failures):
            raise StorageUnavailable(damaged(self._path))
        for error in failures:
            raise unavailable(error, self._path) from error
        return True

    def backup(self, file: Path) -> Contents:
        """Copy all pages in one step beside their place, and name the copy when it is sound."""
        with file_errors(self._path):
            is_there = files.is_file(self._path)
        if not is_there:
            raise StorageUnavailable(f"{self._path}: there is no such file")
        _refuse_existing(file)
        with _copy_beside(file) as copy:
            with engine_errors(self._path), closing(connect(self._path)) as source:
                backup_to(source, copy, file=file, whole=lambda: damaged(self._path))
            contents = _contents_of(copy, called=self._path)
            with _refusal_for(file):
                _sync(copy)
                _publish(copy, file)
                _sync(file.parent)
        return contents

    def restore(self, file: Path, *, replace: bool) -> Contents:
        """Copy the backup beside the database, check that, and write all its pages in one step."""
        with _refusal_for(file), file.open("rb"):
            pass
        with file_errors(self._path):
            files.make_folder(self._path.parent)
            is_new = not files.is_file(self._path)
        with _copy_beside(self._path) as copy:
            with engine_errors(file), closing(open_read_only(file)) as source:
                is_damaged = f"{file} is damaged, or no database"
                backup_to(source, copy, file=self._path, whole=lambda: is_damaged)
            contents = _contents_of(copy, called=file)
            last_id = 0 if is_new else self._last_id(replace=replace)
            with engine_errors(self._path), closing(connect(copy)) as source:

                def keep_ids() -> None:
                    """Look again: accounts may have been opened until the lock was had."""
                    _advance_id_sequence(source, max(last_id, self._last_id(replace=replace)))

                make_private(self._path)
                self._write(source, locked=keep_ids)
        return contents

    def _last_id(self, *, replace: bool) -> int:
        """Return the last id that an account had. Raises `BackupRefused` for what is not empty."""
        last_id = 0
        try:
            with closing(connect(self._path)) as connection:
                has = _tables(connection)
                if not replace and _is_foreign(connection):
                    raise BackupRefused(
                        f"{self._path} is another program's database; replace it with --replace"
                    )
                if "sqlite_sequence" in has:
                    last_id = max(
                        (seq for name, seq in connection.execute("SELECT * FROM sqlite_sequence")),
                        default=0,
                    )
                full = {"users", "orders"} <= has and any(
                    connection.execute(query).fetchall()
                    for query in ("SELECT 1 FROM users LIMIT 1", "SELECT 1 FROM orders LIMIT 1")
                )
        except sqlite3.Error as error:
            if not is_damage(error):
                with engine_errors(self._path):
                    raise
            if not replace:
                raise BackupRefused(
                    f"{self._path} is damaged; replace what is left of it with --replace"
                ) from None
            return last_id
        if full and not replace:
            raise BackupRefused(
                f"there are users or orders in {self._path}; replace them with --replace"
            )
        return last_id

    def _write(self, source: sqlite3.Connection, *, locked: Callable[[], None]) -> None:
        try:
            restore_into(source, self._path, locked=locked)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            # The source is sound, so the target is damaged and cannot be read. It keeps its name
            # and its mode.
            with file_errors(self._path):
                os.truncate(self._path, 0)
                for journal in JOURNALS:
                    Path(f"{self._path}{journal}").unlink(missing_ok=True)
            restore_into(source, self._path, locked=locked)


def _contents_of(copy: Path, *, called: Path) -> Contents:
    """Count what is in a sound file."""
    with engine_errors(copy), closing(connect(copy)) as connection:
        return run_interruptibly(connection, lambda: _contents_in(connection, copy, called))


def _contents_in(connection: sqlite3.Connection, copy: Path, called: Path) -> Contents:
    try:
        revision = _revision(connection)
    except ForeignSchema:
        revision = None
    if revision is None:
        raise BackupRefused(f"{called} is no database of Ordergate's")
    if revision > HEAD:
        raise BackupRefused(f"{called} was made by a newer Ordergate; install that version")
    if "copies" in _tables(connection) and connection.execute("SELECT 1 FROM copies").fetchone():
        raise BackupRefused(f"{called} holds an unfinished copy; finish it by `ordergate copy`")
    (accounts,) = connection.execute("SELECT count(*) FROM users").fetchone()
    (orders,) = connection.execute("SELECT count(*) FROM orders").fetchone()
    return Contents(accounts, orders, copy.stat().st_size, revision == HEAD)


def _tables(connection: sqlite3.Connection) -> set[str]:
    """Return the names of all tables and views; SQLite compares names without regard to case."""
    query = "SELECT lower(name) FROM sqlite_master WHERE type IN ('table', 'view')"
    return {name for (name,) in connection.execute(query)}


def _revision(connection: sqlite3.Connection) -> str | None:
    """Return the revision of Ordergate's schema, if there is one. Raises `ForeignSchema`."""
    columns = {
        name: frozenset(
            column for column, *_ in connection.execute(COLUMNS_OF.format(name)).description
        )
        for name in _tables(connection).intersection(TABLES)
    }
    has_versions = "version_num" in columns.get(VERSIONS, ())
    return recognize(
        columns, [row[0] for row in connection.execute(REVISIONS)] if has_versions else []
    )


def _is_foreign(connection: sqlite3.Connection) -> bool:
    """Return whether there are tables of another program."""
    try:
        return _revision(connection) is None and not _tables(connection) <= {VERSIONS}
    except ForeignSchema:
        return True


def _advance_id_sequence(source: sqlite3.Connection, last_id: int) -> None:
    known = "SELECT max(seq) FROM sqlite_sequence WHERE name = 'users'"
    (known_id,) = source.execute(known).fetchone()
    source.execute("DELETE FROM sqlite_sequence WHERE name = 'users'")
    source.execute(
        "INSERT INTO sqlite_sequence VALUES ('users', ?)", (max(known_id or 0, last_id),)
    )


def _refuse_existing(file: Path) -> None:
    if os.path.lexists(file):
        raise BackupRefused(f"{file} exists; name a new file")


def _publish(copy: Path, file: Path) -> None:
    """Give a file its name, if nothing has got that meanwhile."""
    try:
        file.hardlink_to(copy)
    except OSError:  # it exists, or the file system has no links
        _refuse_existing(file)
        copy.replace(file)


@contextmanager
def _copy_beside(file: Path) -> Iterator[Path]:
    """Make an empty file in a hidden folder, for its owner alone; both are removed afterwards.

    This process locks the folder, so that the next command can remove it if this one is killed. A
    lock of the file itself would be in the way of SQLite on macOS.
    """
    _remove_abandoned(file.parent)
    with ExitStack() as stack:
        with _refusal_for(file):
            copy = _hidden_folder(file.parent, stack) / "copy.db"
            os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        yield copy


def _hidden_folder(parent: Path, stack: ExitStack) -> Path:
    while True:
        folder = parent / f".ordergate-{secrets.token_hex(8)}"
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            lock = _opened(folder)
        except FileNotFoundError:
            continue
        stack.callback(os.close, lock)
        with suppress(OSError):  # a network file system may have no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # until it was locked, another command could take it for abandoned
            return folder


def _remove_abandoned(parent: Path) -> None:
    """Remove the hidden folders of processes that were killed: no process has them locked."""
    with suppress(OSError):
        for folder in parent.iterdir():
            if _HIDDEN.fullmatch(folder.name) and folder.lstat().st_uid == os.geteuid():
                with suppress(OSError), ExitStack() as stack:
                    lock = _opened(folder)
                    stack.callback(os.close, lock)
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


@contextmanager
def _refusal_for(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupRefused(f"{file}: {files.reason(error, file)}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
