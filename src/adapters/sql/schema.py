"""The whole schema: the tables, and partial indexes.

Partial indexes are not in `tables.py`, because a condition for PostgreSQL loads its dialect, and a
service on SQLite starts faster without it. Migrations and comparisons import this module.
"""

from sqlalchemy import Index, text
from sqlmodel import col

from ordergate.adapters.sql.tables import RefreshTokenRow, SessionRow, Table

METADATA = Table.metadata


def _add_partial_index(name: str, condition: str, *columns: object) -> None:
    where = text(condition)
    Index(name, *map(col, columns), sqlite_where=where, postgresql_where=where)


# A session has one unused token and any number of used ones; a user has any number of sessions that
# ended or expired.
_add_partial_index(
    "ix_refresh_tokens_unused",
    "used_at IS NULL",
    RefreshTokenRow.session_id,
    RefreshTokenRow.expires_at,
)
_add_partial_index(
    "ix_refresh_tokens_sealed",
    "sealed_successor IS NOT NULL",
    RefreshTokenRow.session_id,
    RefreshTokenRow.used_at,
)
_add_partial_index("ix_sessions_ended_at", "ended_at IS NOT NULL", SessionRow.ended_at)
_add_partial_index(
    "ix_sessions_live", "ended_at IS NULL", SessionRow.user_id, SessionRow.expires_at
)
