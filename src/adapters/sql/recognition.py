"""Recognition of Ordergate's databases by their tables and revision.

Alembic's table has the same name in every program, and its revisions may look alike. A revision
therefore counts only with the tables that it created and the columns that only Ordergate has.
"""

import re
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, inspect, text

from ordergate.application.errors import SchemaNotCurrent

VERSIONS = "alembic_version"
_MADE_BY = {
    "0001": ("users", "orders", "order_lines"),
    "0002": ("sessions", "refresh_tokens"),
    "0003": ("external_subjects",),
    "0004": ("idempotency_keys", "secrets"),
    "0005": ("copies",),
}
"""The tables that each revision creates, if any."""
_COLUMNS: Mapping[str, frozenset[str]] = {
    "users": frozenset({"id", "username", "password_hash"}),
    "orders": frozenset({"owner_id", "id", "status", "placed_at", "currency"}),
    "order_lines": frozenset({"owner_id", "order_id", "position", "sku", "quantity", "unit_price"}),
}
"""Columns of these tables since the first revision."""
TABLES = (VERSIONS, *(name for names in _MADE_BY.values() for name in names))
"""The table names that identify a database."""

MIGRATIONS = "ordergate_migrations"
"""A table of engines whose DDL is not transactional. It has a row `begun` during a migration.

The other tables may be any part of Ordergate's then.
"""

COLUMNS_OF = "SELECT * FROM {} WHERE 1 = 0"
REVISIONS = "SELECT version_num FROM alembic_version"
_IS_BEGUN = text("SELECT name FROM ordergate_migrations WHERE name = 'begun'")
_ANOTHER = "the database is another program's; name one of Ordergate's"

Tables = Mapping[str, frozenset[str]]
"""The tables of `TABLES` in a database, with their columns."""


class ForeignSchema(Exception):
    """The tables belong to another program. The message says why."""


def recognize(tables: Tables, revisions: Sequence[object]) -> str | None:
    """Return the revision of Ordergate's schema; `None` for an empty database.

    `revisions` are the rows of Alembic's table. The revision may be newer than this program's.
    Raises `ForeignSchema` for tables of another program.
    """
    if VERSIONS in tables and "version_num" not in tables[VERSIONS]:
        raise ForeignSchema(_ANOTHER)
    if not revisions:
        for name in TABLES[1:]:
            if name in tables:
                raise ForeignSchema(
                    f"the database has a table {name} that Ordergate did not make; name an empty"
                    " database, or one of Ordergate's"
                )
        return None
    revision = str(revisions[0])
    expected = [
        name for made_by, names in _MADE_BY.items() if made_by <= revision for name in names
    ]
    is_ours = (
        len(revisions) == 1
        and re.fullmatch("[0-9]{4}", revision)
        and revision >= min(_MADE_BY)
        and all(name in tables for name in expected)
        and all(tables[name] >= columns for name, columns in _COLUMNS.items())
    )
    if not is_ours:
        raise ForeignSchema(_ANOTHER)
    return revision


def stored_revision(connection: Connection) -> str | None:
    """Recognize the schema of a database. Raises `SchemaNotCurrent` for a foreign one."""
    inspector = inspect(connection)
    tables = {
        name: frozenset(connection.execute(text(COLUMNS_OF.format(name))).keys())
        for name in TABLES
        if inspector.has_table(name)
    }
    has_versions = "version_num" in tables.get(VERSIONS, ())
    revisions = connection.scalars(text(REVISIONS)).all() if has_versions else ()
    if inspector.has_table(MIGRATIONS) and connection.scalar(_IS_BEGUN):
        return str(revisions[0]) if revisions else None
    try:
        return recognize(tables, revisions)
    except ForeignSchema as error:
        raise SchemaNotCurrent(str(error)) from None
