"""The whole schema, as the migrations leave it: the tables, and indexes of some rows alone.

Those are no part of `tables.py`, because naming a condition for PostgreSQL loads its dialect, and a
service on SQLite starts faster without. What compares a database with the schema imports this.
"""

from sqlalchemy import Index, text
from sqlmodel import SQLModel, col

from adapters.sql.tables import RefreshTokenRow

METADATA = SQLModel.metadata


def _of_tokens(name: str, condition: str) -> None:
    where = text(condition)
    Index(name, col(RefreshTokenRow.session_id), sqlite_where=where, postgresql_where=where)


# A session has one unused token, and used ones without number.
_of_tokens("ix_refresh_tokens_unused", "used_at IS NULL")
_of_tokens("ix_refresh_tokens_sealed", "sealed_successor IS NOT NULL")
