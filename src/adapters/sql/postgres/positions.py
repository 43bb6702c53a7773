"""Positions of writes: the ids of their transactions.

A primary assigns them in order, as `xid8`, which never starts again at 0. A standby has the writes
of a transaction, and of all before it, when the oldest transaction that runs there is a later one.
Its snapshots list no running transactions, so `xmin` alone decides.
"""

from collections.abc import Callable

from sqlalchemy import Connection, Text, cast, func, text

from ordergate.adapters.sql.database import Rows, T
from ordergate.application.consistency import CURRENT

POSITION = cast(func.pg_current_xact_id(), Text)
"""The position of the statement that has this column."""

_SEEN = text(
    "SELECT greatest(coalesce(pg_current_xact_id_if_assigned()::text, '0')::numeric,"
    " pg_snapshot_xmax(pg_current_snapshot())::text::numeric - 1)::text"
)
"""The position of the last write that the transaction made or may have read."""


def note_written(rows: Rows) -> None:
    """Note the position in the last column of a statement's rows."""
    if consistency := CURRENT.get():
        consistency.note(int(rows[0][-1]))


def noting(work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    """Let a transaction note the last write that it made or found."""
    consistency = CURRENT.get()
    if consistency is None:
        return work

    def noted(connection: Connection) -> T:
        result = work(connection)
        consistency.note(int(connection.execute(_SEEN).scalar_one()))
        return result

    return noted
