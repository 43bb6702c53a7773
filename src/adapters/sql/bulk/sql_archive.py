"""All records of a SQL database, read and written by the thousand."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    insert,
    inspect,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel, col

from ordergate.adapters.sql.bulk.archive_rows import (
    account_row,
    key_row,
    refresh_token_row,
    row_to_account,
    row_to_key,
    row_to_refresh_token,
    row_to_session_record,
    row_to_subject,
    session_record_row,
    subject_row,
)
from ordergate.adapters.sql.bulk.bulk_insert import advance_id_sequence, insert_rows
from ordergate.adapters.sql.bulk.unchecked_insert import insert_unchecked
from ordergate.adapters.sql.database import Database
from ordergate.adapters.sql.rows import LINE, ORDER_NAMES, line_rows, order_to_row, row_to_order
from ordergate.adapters.sql.tables import (
    CopyRow,
    ExternalSubjectRow,
    IdempotencyKeyRow,
    OrderLineRow,
    OrderRow,
    RefreshTokenRow,
    SessionRow,
    UserRow,
)
from ordergate.application.errors import StorageNotEmpty
from ordergate.application.ports.archive import (
    AccountRecord,
    Archive,
    CopyCheckpoint,
    KeyRecord,
    R,
    Record,
    RefreshTokenRecord,
    SessionRecord,
    SubjectRecord,
)
from ordergate.domain.order import Order
from ordergate.domain.user import UserId

_Key = tuple[int | str | bytes, ...]
_Rows = Iterable[Row[*tuple[Any, ...]]]


class SqlArchive(Archive):
    """Reads along primary keys, so that each page costs the same; a place is the last key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, kind: type[Record]) -> int:
        """Count the rows."""
        query = select(func.count()).select_from(_RECORD_MAPPINGS[kind].table)
        return await self._database.read(lambda c: c.execute(query).scalar_one(), large=True)

    async def read(self, kind: type[R], *, after: str = "", limit: int) -> tuple[Sequence[R], str]:
        """Read the rows behind a primary key in one SELECT."""
        shelf = _RECORD_MAPPINGS[kind]
        query = shelf.query(shelf.key_of_place(after), limit)

        def work(connection: Connection) -> tuple[Sequence[R], str]:
            rows = connection.execute(query).all()
            if not rows:
                return [], after
            last = rows[-1]
            place = shelf.place_of_key(tuple(getattr(last, name) for name in shelf.keys))
            return cast("Sequence[R]", shelf.records(rows)), place

        return await self._database.read(work, large=True)

    async def checkpoint(self) -> CopyCheckpoint | None:
        """Read the only row."""
        return await self._database.read(find_checkpoint)

    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        """Insert the records and update the checkpoint in one transaction."""

        def work(connection: Connection) -> None:
            values = {
                "source": checkpoint.source,
                "kind": checkpoint.kind,
                "after": checkpoint.after,
            }
            if connection.execute(update(CopyRow).values(values)).rowcount == 0:
                # Everything else belongs to an account.
                if connection.execute(select(col(UserRow.id)).limit(1)).first():
                    raise StorageNotEmpty
                connection.execute(insert(CopyRow), values)
            if records:
                _RECORD_MAPPINGS[type(records[0])].insert(connection, records)

        try:
            await self._database.write(work)
        except IntegrityError:
            raise ValueError("a record is there already, or what it refers to is not") from None

    async def finish(self) -> None:
        """Delete the only row."""
        await self._database.write(lambda connection: connection.execute(delete(CopyRow)))


def find_checkpoint(connection: Connection) -> CopyCheckpoint | None:
    """Read how far an unfinished copy into this database has come."""
    query = select(col(CopyRow.source), col(CopyRow.kind), col(CopyRow.after))
    row = connection.execute(query).one_or_none()
    return CopyCheckpoint(*row) if row else None


@dataclass(frozen=True, slots=True)
class _RecordMapping:
    """How records of a kind are read, by their primary key, and written.

    `keys` are the names of its columns, and what reads a value that `place_of_key` wrote.
    """

    table: type[SQLModel]
    keys: Mapping[str, Callable[[str], int | str | bytes]]
    select: Callable[[Select[*tuple[Any, ...]]], Select[*tuple[Any, ...]]]
    records: Callable[[_Rows], list[Record]]
    insert: Callable[[Connection, Sequence[Any]], None]

    def query(self, after: _Key | None, limit: int) -> Select[*tuple[Any, ...]]:
        columns = [col(getattr(self.table, name)) for name in self.keys]
        page = select(inspect(self.table).local_table).order_by(*columns).limit(limit)
        if after is not None:
            page = page.where(tuple_(*columns) > tuple_(*after))
        return self.select(page)

    def place_of_key(self, key: _Key) -> str:
        """Write a key as netstrings without commas: no text in it can pass for the next."""
        words = (value.hex() if isinstance(value, bytes) else str(value) for value in key)
        return "".join(f"{len(word)}:{word}" for word in words)

    def key_of_place(self, place: str) -> _Key | None:
        if not place:
            return None
        key: list[int | str | bytes] = []
        for read in self.keys.values():
            length, _, rest = place.partition(":")
            word, place = rest[: int(length)], rest[int(length) :]
            key.append(read(word))
        return tuple(key)


def _identity(page: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return page


def _with_lines(page: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Read a row a line of each order of the page, in the order of their keys."""
    orders = page.subquery("page")
    order: list[ColumnElement[Any]] = [orders.c[name] for name in ORDER_NAMES]
    return (
        select(*order, orders.c.owner_id, *LINE)
        .outerjoin(  # an order without lines is found, and refused
            OrderLineRow,
            and_(
                col(OrderLineRow.owner_id) == orders.c.owner_id,
                col(OrderLineRow.order_id) == orders.c.id,
            ),
        )
        .order_by(orders.c.owner_id, orders.c.id, col(OrderLineRow.position))
    )


def _orders(rows: _Rows) -> list[Record]:
    return [
        row_to_order(UserId(owner), list(lines))
        for (owner, _), lines in groupby(rows, key=attrgetter("owner_id", "id"))
    ]


def _map_rows(record_of: Callable[[Row[Any]], Record]) -> Callable[[_Rows], list[Record]]:
    return lambda rows: [record_of(row) for row in rows]


def _bulk_inserter(
    table: type[SQLModel], row_of: Callable[[Any], Mapping[str, Any]]
) -> Callable[[Connection, Sequence[Any]], None]:
    return lambda connection, records: insert_rows(connection, table, map(row_of, records))


def _insert_accounts(connection: Connection, accounts: Sequence[AccountRecord]) -> None:
    insert_rows(connection, UserRow, map(account_row, accounts))
    advance_id_sequence(connection)


def _insert_orders(connection: Connection, orders: Sequence[Order]) -> None:
    def insert() -> None:
        insert_rows(connection, OrderRow, map(order_to_row, orders))
        insert_rows(connection, OrderLineRow, (row for order in orders for row in line_rows(order)))

    insert_unchecked(connection, (OrderRow, OrderLineRow), insert)


_RECORD_MAPPINGS: Mapping[type[Any], _RecordMapping] = {
    AccountRecord: _RecordMapping(
        UserRow, {"id": int}, _identity, _map_rows(row_to_account), _insert_accounts
    ),
    SubjectRecord: _RecordMapping(
        ExternalSubjectRow,
        {"issuer": str, "subject": str},
        _identity,
        _map_rows(row_to_subject),
        _bulk_inserter(ExternalSubjectRow, subject_row),
    ),
    SessionRecord: _RecordMapping(
        SessionRow,
        {"id": str},
        _identity,
        _map_rows(row_to_session_record),
        _bulk_inserter(SessionRow, session_record_row),
    ),
    RefreshTokenRecord: _RecordMapping(
        RefreshTokenRow,
        {"digest": bytes.fromhex},
        _identity,
        _map_rows(row_to_refresh_token),
        _bulk_inserter(RefreshTokenRow, refresh_token_row),
    ),
    Order: _RecordMapping(
        OrderRow, {"owner_id": int, "id": int}, _with_lines, _orders, _insert_orders
    ),
    KeyRecord: _RecordMapping(
        IdempotencyKeyRow,
        {"owner_id": int, "key": str},
        _identity,
        _map_rows(row_to_key),
        _bulk_inserter(IdempotencyKeyRow, key_row),
    ),
}
