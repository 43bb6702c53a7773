"""Inserting many rows with the ids that they bring."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import Connection, insert, text
from sqlmodel import SQLModel

_MAX_ROWS = 5_000
"""Of one statement, so that it ends within the time that a server allows it."""


def insert_rows(
    connection: Connection, table: type[SQLModel], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Insert rows, as many statements as it takes."""
    iterator = iter(rows)
    while some := list(islice(iterator, _MAX_ROWS)):
        connection.execute(insert(table), some)


def skip_ids(connection: Connection) -> None:
    """Let accounts that are opened later have ids beyond all that were written.

    SQLite does so by itself.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(
            text(
                "SELECT setval(ids, greatest(nextval(ids), (SELECT max(id) FROM users)))"
                " FROM CAST(pg_get_serial_sequence('users', 'id') AS regclass) AS ids"
            )
        )
