"""The pages of a SQLite file copied into another, by SQLite's online backup."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from adapters.sql.sqlite_file import BUSY_SECONDS, configure, connect, is_damage
from application.errors import BackupRefused, StorageUnavailable

_POLL_SECONDS = 0.001


def copy_out(source: sqlite3.Connection, copy: Path, *, whole: Callable[[], str]) -> None:
    """Write all pages into a file without a journal, and check that.

    Raises `BackupRefused` if it is not whole, in the words of `whole`.
    """
    try:
        with closing(connect(copy)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
            (first, *_) = target.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        first = str(error)
    if first != "ok":
        raise BackupRefused(whole())


def copy_in(source: sqlite3.Connection, path: Path, *, locked: Callable[[], None]) -> None:
    """Write all pages in one transaction, as soon as no other process writes.

    `locked` is called when none can any more. What it changes in the source is written too, and
    nothing is if it raises. Raises `StorageUnavailable` when another process writes for too long.
    """
    with closing(connect(path)) as target:
        configure(target)
        target.execute("PRAGMA busy_timeout = 0")
        deadline = time.monotonic() + BUSY_SECONDS
        has_lock = False

        def after_step(status: int, _remaining: int, _pages: int) -> None:
            nonlocal has_lock
            if status == sqlite3.SQLITE_OK and not has_lock:
                has_lock = True
                locked()
            elif not has_lock and time.monotonic() > deadline:
                raise StorageUnavailable("SQLite: database is locked")

        # The first step takes the lock and leaves a page for the second, which commits.
        (pages,) = source.execute("PRAGMA page_count").fetchone()
        source.backup(target, pages=pages - 1, progress=after_step, sleep=_POLL_SECONDS)


def opened_to_read(file: Path) -> sqlite3.Connection:
    """Open what may lie where nothing can be written, and make no journal for it."""
    has_journal = Path(f"{file}-wal").exists()
    return connect(file, mode="ro" if has_journal else "ro&immutable=1")
