"""Positions of writes: a timeline of the primary, and a transaction id.

A primary assigns ids in order, as `xid8`, which never starts again at 0. After a failover, the new
primary has the next timeline. A standby has the writes of a transaction, and of all before it, when
the oldest transaction that runs there is a later one. Its snapshots list no running transactions,
so `xmin` alone decides.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Text, Update, UpdateBase, literal_column, text

from ordergate.adapters.sql.database import Rows, T
from ordergate.application.consistency import CURRENT

TIMELINE = "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"
"""The timeline of a primary, as eight hexadecimal digits."""

_ID_BITS = 64
_HEX = 16

_POSITION = literal_column(f"{TIMELINE} || pg_current_xact_id()::text", Text())
_SEEN = text(
    f"SELECT {TIMELINE} || greatest(coalesce(pg_current_xact_id_if_assigned()::text, '0')::numeric,"
    " pg_snapshot_xmax(pg_current_snapshot())::text::numeric - 1)::text"
)
"""The position of the last write that the transaction made or may have read."""


@cache
def with_position(statement: Select[Any] | Update) -> Select[Any] | UpdateBase:
    """Return a statement of a row whose last column is its position."""
    if isinstance(statement, Select):
        return statement.add_columns(_POSITION)
    return statement.returning(_POSITION)


def read_timeline(digits: str) -> int:
    """Read the timeline of a primary."""
    return int(digits, _HEX)


def split_position(position: int) -> tuple[int, int]:
    """Return the timeline and the id of a position."""
    return divmod(position, 1 << _ID_BITS)


def note_written(rows: Rows) -> None:
    """Note the position in the last column of a statement's rows."""
    if consistency := CURRENT.get():
        consistency.note(_read_position(rows[0][-1]))


def noting(work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    """Let a transaction note the last write that it made or found."""
    consistency = CURRENT.get()
    if consistency is None:
        return work

    def noted(connection: Connection) -> T:
        result = work(connection)
        consistency.note(_read_position(connection.execute(_SEEN).scalar_one()))
        return result

    return noted


def _read_position(written: str) -> int:
    return (read_timeline(written[:8]) << _ID_BITS) + int(written[8:])
