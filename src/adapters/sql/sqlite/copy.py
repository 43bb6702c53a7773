"""Copies of SQLite files by SQLite's online backup."""

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from ordergate.adapters.sql.sqlite.file import BUSY_SECONDS, configure, connect, is_damage
from ordergate.application.errors import BackupRefused, StorageUnavailable

T = TypeVar("T")

_POLL_SECONDS = 0.001
_INTERRUPT_SECONDS = 0.05

_READING = {"SQLITE_IOERR_READ", "SQLITE_IOERR_SHORT_READ"}
"""Errors of the source; all others are of the copy."""

# Python handles a signal between two steps.
_STEP_PAGES = 1_024


def copy_file(
    source: sqlite3.Connection, copy: Path, *, file: Path, whole: Callable[[], str]
) -> None:
    """Write all pages into a file without a journal, and check it.

    Raises `BackupRefused` with the text `whole` for a damaged source, or with the engine's error
    for `file`, the target of the copy.
    """
    try:
        # A transaction that reads: all steps see the same moment.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        first = _copy_and_check(source, copy, file)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        first = str(error)
    if first != "ok":
        raise BackupRefused(whole())


def _copy_and_check(source: sqlite3.Connection, copy: Path, file: Path) -> str:
    """Return the first mistake in the copy, or `ok`."""

    def let_signals_in(_status: int, _remaining: int, _pages: int) -> None:
        pass

    try:
        with closing(connect(copy)) as target:
            source.backup(target, pages=_STEP_PAGES, progress=let_signals_in)
            target.execute("PRAGMA journal_mode = DELETE")
            check = "PRAGMA integrity_check(1)"
            (first,) = run_interruptibly(target, lambda: target.execute(check).fetchone())
    except sqlite3.Error as error:
        if is_damage(error) or error.sqlite_errorname in _READING:
            raise
        raise BackupRefused(f"{file}: SQLite: {error}") from error
    return str(first)


def run_interruptibly(connection: sqlite3.Connection, work: Callable[[], T]) -> T:
    """Run a long job on a thread; interrupt it on a signal.

    On the main thread, Python would handle the signal only after the job.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-work") as thread:
        running = thread.submit(work)
        try:
            return running.result()
        except BaseException:
            while wait([running], timeout=_INTERRUPT_SECONDS).not_done:
                connection.interrupt()
            raise


def restore_into(source: sqlite3.Connection, path: Path, *, locked: Callable[[], None]) -> None:
    """Write all pages in one transaction, once no other process writes.

    `locked` is called under the lock. Its changes of the source are written too, and nothing is
    written if it raises an error. Raises `StorageUnavailable` when another process writes for too
    long.
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

        # The first step takes the lock, and leaves a page at least for the one that commits.
        (pages,) = source.execute("PRAGMA page_count").fetchone()
        step = min(_STEP_PAGES, pages - 1)
        source.backup(target, pages=step, progress=after_step, sleep=_POLL_SECONDS)


def open_read_only(file: Path) -> sqlite3.Connection:
    """Open a file without a journal.

    The file may be on a read-only file system.
    """
    has_journal = Path(f"{file}-wal").exists()
    return connect(file, mode="ro" if has_journal else "ro&immutable=1")
