"""Recognition of Ordergate's databases by their tables and revision.

A revision counts only with the tables that it created and the columns that only Ordergate has.
"""

import re
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, inspect, text

from ordergate.application.errors import SchemaNotCurrent

VERSIONS = "ordergate_version"
"""Alembic's table of the revision."""
OLD_VERSIONS = "alembic_version"
"""The table before revision 0007.

It may be another program's, because this is Alembic's usual name.
"""
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
TABLES = (VERSIONS, OLD_VERSIONS, *(name for names in _MADE_BY.values() for name in names))
"""The table names that identify a database."""

MIGRATIONS = "ordergate_migrations"
"""A table of engines whose DDL is not transactional. It has a row `begun` during a migration.

The other tables may be any part of Ordergate's then.
"""

TURNS = "ordergate_turns"
"""A table of engines that may be clusters, whose row locks hold at one node."""

COLUMNS_OF = "SELECT * FROM {} WHERE 1 = 0"
_IS_BEGUN = text("SELECT name FROM ordergate_migrations WHERE name = 'begun'")
REVISIONS_IN = "SELECT version_num FROM {}"
REVISIONS = REVISIONS_IN.format(VERSIONS)
_ANOTHER = "the database is another program's; name one of Ordergate's"

Tables = Mapping[str, frozenset[str]]
"""The tables of `TABLES` in a database, with their columns."""


class ForeignSchema(Exception):
    """The tables belong to another program. The message says why."""


def recognize(tables: Tables, revisions: Mapping[str, Sequence[object]]) -> str | None:
    """Return the revision of Ordergate's schema; `None` for a database without one.

    `revisions` are the rows of each table of revisions. The revision may be newer than this
    program's. Raises `ForeignSchema` for tables of another program that have names of Ordergate's.
    """
    for name in (VERSIONS, OLD_VERSIONS):
        if revision := _match(tables, revisions.get(name, ())):
            return revision
    if VERSIONS in tables and (revisions.get(VERSIONS) or not _has_revisions(tables, VERSIONS)):
        raise ForeignSchema(_ANOTHER)
    for name in TABLES[2:]:
        if name in tables:
            raise ForeignSchema(
                f"the database has a table {name} that Ordergate did not make; name an empty"
                " database, or one of Ordergate's"
            )
    return None


def _match(tables: Tables, revisions: Sequence[object]) -> str | None:
    """Return the only revision if the tables are those that it made."""
    if len(revisions) != 1:
        return None
    revision = str(revisions[0])
    expected = [
        name for made_by, names in _MADE_BY.items() if made_by <= revision for name in names
    ]
    is_ours = (
        re.fullmatch("[0-9]{4}", revision)
        and revision >= min(_MADE_BY)
        and all(name in tables for name in expected)
        and all(tables[name] >= columns for name, columns in _COLUMNS.items())
    )
    return revision if is_ours else None


def list_versions(tables: Tables) -> list[str]:
    """Return the tables that may have the revision."""
    return [name for name in (VERSIONS, OLD_VERSIONS) if _has_revisions(tables, name)]


def _has_revisions(tables: Tables, name: str) -> bool:
    return "version_num" in tables.get(name, ())


def find_stored_revision(connection: Connection) -> str | None:
    """Recognize the schema of a database. Raises `SchemaNotCurrent` for a foreign one.

    On PostgreSQL, it is the first schema of `search_path` that exists.
    """
    tables = _read_tables(connection)
    revisions = {
        name: connection.scalars(text(REVISIONS_IN.format(_qualify(connection, name)))).all()
        for name in list_versions(tables)
    }
    if inspect(connection).has_table(MIGRATIONS) and connection.scalar(_IS_BEGUN):
        begun = revisions.get(VERSIONS)
        return str(begun[0]) if begun else None
    try:
        return recognize(tables, revisions)
    except ForeignSchema as error:
        raise SchemaNotCurrent(str(error)) from None


def rename_versions(connection: Connection) -> None:
    """Rename the table of revisions if it has the old name."""
    if VERSIONS in _read_tables(connection) or find_stored_revision(connection) is None:
        return
    old = _qualify(connection, OLD_VERSIONS)
    connection.execute(text(f"ALTER TABLE {old} RENAME TO {VERSIONS}"))
    if connection.dialect.name == "postgresql":  # where it is the name of an index of the schema
        table, key = _qualify(connection, VERSIONS), f"{VERSIONS}_pkc"
        rename = f"ALTER TABLE {table} RENAME CONSTRAINT {OLD_VERSIONS}_pkc TO {key}"
        connection.execute(text(rename))


def _read_tables(connection: Connection) -> Tables:
    inspector = inspect(connection)
    schema = connection.dialect.default_schema_name
    return {
        name: frozenset(
            connection.execute(text(COLUMNS_OF.format(_qualify(connection, name)))).keys()
        )
        for name in TABLES
        if inspector.has_table(name, schema)
    }


def _qualify(connection: Connection, name: str) -> str:
    """Return a table's name in the schema of new tables."""
    schema = connection.dialect.default_schema_name
    quote = connection.dialect.identifier_preparer.quote
    return f"{quote(schema)}.{name}" if schema else name
