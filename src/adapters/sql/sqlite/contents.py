"""The contents of a SQLite file: its schema and its records."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ordergate.adapters.sql.migrations import HEAD
from ordergate.adapters.sql.recognition import (
    COLUMNS_OF,
    REVISIONS_IN,
    TABLES,
    VERSIONS,
    ForeignSchema,
    list_versions,
    recognize,
)
from ordergate.adapters.sql.sqlite.copy import run_interruptibly
from ordergate.adapters.sql.sqlite.file import connect, engine_errors
from ordergate.application.errors import BackupRefused
from ordergate.application.ports.archive import Contents


def count_contents(copy: Path, *, called: Path) -> Contents:
    """Count the accounts and orders of a sound file.

    Messages name the file `called`. Raises `BackupRefused` for another program's file, a newer
    one, and an unfinished copy.
    """
    with engine_errors(copy), closing(connect(copy)) as connection:
        return run_interruptibly(connection, lambda: _count_in(connection, copy, called))


def _count_in(connection: sqlite3.Connection, copy: Path, called: Path) -> Contents:
    try:
        revision = _read_revision(connection)
    except ForeignSchema:
        revision = None
    if revision is None:
        raise BackupRefused(f"{called} is not a database of Ordergate")
    if revision > HEAD:
        raise BackupRefused(f"{called} was made by a newer Ordergate; install that version")
    if (
        "copies" in list_table_names(connection)
        and connection.execute("SELECT 1 FROM copies").fetchone()
    ):
        raise BackupRefused(f"{called} holds an unfinished copy; finish it by `ordergate copy`")
    (accounts,) = connection.execute("SELECT count(*) FROM users").fetchone()
    (orders,) = connection.execute("SELECT count(*) FROM orders").fetchone()
    return Contents(accounts, orders, copy.stat().st_size, revision == HEAD)


def list_table_names(connection: sqlite3.Connection) -> set[str]:
    """Return the names of all tables and views.

    SQLite compares them without case.
    """
    query = "SELECT lower(name) FROM sqlite_master WHERE type IN ('table', 'view')"
    return {name for (name,) in connection.execute(query)}


def _read_revision(connection: sqlite3.Connection) -> str | None:
    """Return the revision of Ordergate's schema, if any. Raises `ForeignSchema`."""
    columns = {
        name: frozenset(
            column for column, *_ in connection.execute(COLUMNS_OF.format(name)).description
        )
        for name in list_table_names(connection).intersection(TABLES)
    }
    revisions = {
        name: [row[0] for row in connection.execute(REVISIONS_IN.format(name))]
        for name in list_versions(columns)
    }
    return recognize(columns, revisions)


def is_foreign(connection: sqlite3.Connection) -> bool:
    """Return whether the file has tables of another program."""
    try:
        return _read_revision(connection) is None and not list_table_names(connection) <= {VERSIONS}
    except ForeignSchema:
        return True


def advance_id_sequence(source: sqlite3.Connection, last_id: int) -> None:
    """Assign ids above the last one to later accounts."""
    known = "SELECT max(seq) FROM sqlite_sequence WHERE name = 'users'"
    (known_id,) = source.execute(known).fetchone()
    source.execute("DELETE FROM sqlite_sequence WHERE name = 'users'")
    source.execute(
        "INSERT INTO sqlite_sequence VALUES ('users', ?)", (max(known_id or 0, last_id),)
    )
