"""Insertion of rows that may violate CHECK constraints of this schema."""

from collections.abc import Callable

from sqlalchemy import CheckConstraint, Connection, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

_SWITCHES = {
    "sqlite": ("PRAGMA ignore_check_constraints = ON", "PRAGMA ignore_check_constraints = OFF"),
    "mysql": (
        "SET @ordergate_checks = 0 /*M!, SESSION check_constraint_checks = OFF */",
        "SET @ordergate_checks = 1 /*M!, SESSION check_constraint_checks = ON */",
    ),
}
"""Statements that switch the checks of a session off and on; MySQL has no such switch."""


def insert_unchecked(
    connection: Connection, tables: tuple[type[SQLModel], ...], insert: Callable[[], None]
) -> None:
    """Insert within the caller's transaction; CHECK constraints hold for later writes.

    On PostgreSQL, violating rows make a constraint NOT VALID. Raises SQLAlchemy's `IntegrityError`
    for any other constraint.
    """
    if switches := _SWITCHES.get(connection.dialect.name):
        off, on = map(text, switches)
        connection.execute(off)
        try:
            insert()
        finally:
            connection.execute(on)
        return
    try:
        with connection.begin_nested():
            insert()
    except IntegrityError:
        checks = [(each, check) for each in tables for check in _list_checks(each)]
        for table, check in checks:
            connection.execute(
                text(f"ALTER TABLE {_quote_name(table)} DROP CONSTRAINT {check.name}")
            )
        insert()
        for table, check in checks:
            connection.execute(
                text(
                    f"ALTER TABLE {_quote_name(table)} ADD CONSTRAINT {check.name}"
                    f" CHECK ({check.sqltext}) NOT VALID"
                )
            )


def _list_checks(table: type[SQLModel]) -> list[CheckConstraint]:
    constraints = inspect(table).local_table.constraints
    return [each for each in constraints if isinstance(each, CheckConstraint)]


def _quote_name(table: type[SQLModel]) -> str:
    return str(inspect(table).local_table)
