"""An UPDATE that returns values of the rows that it changed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, inspect, select, update
from sqlalchemy.orm import Mapped
from sqlmodel import SQLModel


def update_returning(
    connection: Connection,
    table: type[SQLModel],
    which: ColumnElement[bool],
    returned: Mapped[Any],
    **values: object,
) -> Sequence[Any]:
    """Update rows within the caller's transaction; return a column of each.

    MariaDB and MySQL have no UPDATE that returns: they lock the rows first, and update them by
    their keys, because further rows may match by then.
    """
    change = update(table).values(values)
    if connection.dialect.update_returning:
        return connection.scalars(change.where(which).returning(returned)).all()
    (key,) = inspect(table).primary_key
    found = connection.execute(select(key, returned).where(which).with_for_update()).all()
    if found:
        connection.execute(change.where(key.in_([row[0] for row in found])))
    return [row[1] for row in found]
