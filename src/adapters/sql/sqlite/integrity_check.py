"""SQLite's check of a file, bounded in time."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

from ordergate.adapters.sql.sqlite.file import (
    connect,
    damaged,
    engine_errors,
    is_damage,
    unavailable,
)
from ordergate.adapters.system.background import run_at_idle_priority
from ordergate.application.errors import StorageUnavailable


def check_integrity(path: Path, *, seconds: float | None) -> bool:
    """Run PRAGMA quick_check on a thread; return whether it completed in time.

    A SQLite before 3.41 notices an interrupt late: the check continues in the background for a
    while. In the background it runs at idle priority, or hashing, which does too, would wait for
    it. A check that the caller waits for does not: beside busy programs it would take all its time.
    """
    found: list[str] = []
    failures: list[sqlite3.Error] = []
    with engine_errors(path):
        connection = connect(path)

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
        raise StorageUnavailable(damaged(path))
    for error in failures:
        raise unavailable(error, path) from error
    return True
