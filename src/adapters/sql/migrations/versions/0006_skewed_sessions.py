"""Indexes for sessions of many tokens, and users of many sessions.

SQLite's planner takes an index of one column where a better one has no more of them, and it takes
all rows of which `ended_at` is NULL for as few as those of any one time.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_Index = tuple[str, str, list[str], str | None]

_BEFORE: tuple[_Index, ...] = (
    ("ix_sessions_ended_at", "sessions", ["ended_at"], None),
    ("ix_refresh_tokens_unused", "refresh_tokens", ["session_id"], "used_at IS NULL"),
    ("ix_refresh_tokens_sealed", "refresh_tokens", ["session_id"], "sealed_successor IS NOT NULL"),
)
_AFTER: tuple[_Index, ...] = (
    ("ix_sessions_ended_at", "sessions", ["ended_at"], "ended_at IS NOT NULL"),
    ("ix_refresh_tokens_unused", "refresh_tokens", ["session_id", "expires_at"], "used_at IS NULL"),
    (
        "ix_refresh_tokens_sealed",
        "refresh_tokens",
        ["session_id", "used_at"],
        "sealed_successor IS NOT NULL",
    ),
    ("ix_sessions_live", "sessions", ["user_id", "expires_at"], "ended_at IS NULL"),
)


def upgrade() -> None:
    _replace(_BEFORE, _AFTER)


def downgrade() -> None:
    _replace(_AFTER, _BEFORE)


def _replace(dropped: tuple[_Index, ...], created: tuple[_Index, ...]) -> None:
    for name, table, *_ in dropped:
        op.drop_index(name, table)
    for name, table, columns, condition in created:
        where = None if condition is None else sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
