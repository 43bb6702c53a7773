"""Insertion of many rows with their own ids."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    insert,
    inspect,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import SQLModel

from ordergate.application.errors import RecordRefused

_MAX_ROWS = 5_000
"""The maximum of a statement, so that it ends within the server's time limit."""

_INTEGERS = range(-(2**31), 2**31)


def insert_rows(
    connection: Connection, table: type[SQLModel], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Insert rows with as many statements as necessary.

    Raises `RecordRefused` for a value that the engine refuses.
    """
    iterator = iter(rows)
    while some := list(islice(iterator, _MAX_ROWS)):
        try:
            connection.execute(insert(table), some)
        except IntegrityError:
            raise
        except DBAPIError:
            for row in some:
                _refuse_unless_held(inspect(table).local_table, row)
            raise


def _refuse_unless_held(table: FromClause, row: Mapping[str, Any]) -> None:
    for column in table.c:
        if flaw := _find_flaw(column, row.get(column.key)):
            keys = ", ".join(f"{key.key} {row[key.key]}" for key in table.primary_key)
            raise RecordRefused(f"row of {table} with {keys}", f"{column.key} {flaw}")


def _find_flaw(column: ColumnElement[Any], value: object) -> str | None:
    """Describe why a column cannot hold a value."""
    if isinstance(value, str):
        longest: int | None = getattr(column.type, "length", None)
        if longest is not None and len(value) > longest:
            return f"has more than {longest} characters"
        if "\0" in value:
            return "has a NUL character"
    is_short = isinstance(column.type, Integer) and not isinstance(column.type, BigInteger)
    if isinstance(value, int) and is_short and value not in _INTEGERS:
        return "is an integer of more than 32 bits"
    return None


def advance_id_sequence(connection: Connection) -> None:
    """Assign ids above all stored ones to later accounts.

    SQLite does this itself.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(
            text(
                "SELECT setval(ids, greatest(nextval(ids), (SELECT max(id) FROM users)))"
                " FROM CAST(pg_get_serial_sequence('users', 'id') AS regclass) AS ids"
            )
        )
