"""The tables, keys and conversions of the archive's records."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, inspect, select, tuple_
from sqlmodel import SQLModel, col

from ordergate.adapters.sql.bulk.archive_rows import (
    account_to_row,
    key_to_row,
    refresh_token_row,
    row_to_account,
    row_to_key,
    row_to_refresh_token,
    row_to_session_record,
    row_to_subject,
    session_record_to_row,
    subject_to_row,
)
from ordergate.adapters.sql.bulk.bulk_insert import advance_id_sequence, insert_rows
from ordergate.adapters.sql.bulk.unchecked_insert import insert_unchecked
from ordergate.adapters.sql.rows import (
    LINE,
    ORDER_NAMES,
    join_lines,
    line_rows,
    order_to_row,
    row_to_order,
)
from ordergate.adapters.sql.tables import (
    ExternalSubjectRow,
    IdempotencyKeyRow,
    OrderLineRow,
    OrderRow,
    RefreshTokenRow,
    SessionRow,
    UserRow,
)
from ordergate.application.ports.archive import (
    AccountRecord,
    KeyRecord,
    Record,
    RefreshTokenRecord,
    SessionRecord,
    SubjectRecord,
)
from ordergate.domain.order import Order
from ordergate.domain.user import UserId

_Key = tuple[int | str | bytes, ...]
_Page = Select[*tuple[Any, ...]]
_Rows = Iterable[Row[*tuple[Any, ...]]]


def _keep_page(page: _Page) -> _Page:
    return page


@dataclass(frozen=True, slots=True)
class RecordMapping:
    """Reads records of a kind by primary key, and inserts them.

    `keys` maps each column of the key to the function that reads its value from a cursor.
    """

    table: type[SQLModel]
    keys: Mapping[str, Callable[[str], int | str | bytes]]
    records: Callable[[_Rows], list[Record]]
    insert: Callable[[Connection, Sequence[Any]], None]
    select: Callable[[_Page], _Page] = _keep_page

    def select_page(self, cursor: str, limit: int) -> _Page:
        """Select the rows after a cursor.

        An empty cursor is before the first row.
        """
        columns = [col(getattr(self.table, name)) for name in self.keys]
        page = select(inspect(self.table).local_table).order_by(*columns).limit(limit)
        if cursor:
            page = page.where(tuple_(*columns) > tuple_(*self._decode_key(cursor)))
        return self.select(page)

    def encode_cursor(self, row: Row[*tuple[Any, ...]]) -> str:
        """Write a row's key as netstrings.

        No text in a key can then imitate the next part.
        """
        key: _Key = tuple(getattr(row, name) for name in self.keys)
        words = (value.hex() if isinstance(value, bytes) else str(value) for value in key)
        return "".join(f"{len(word)}:{word}" for word in words)

    def _decode_key(self, cursor: str) -> _Key:
        key: list[int | str | bytes] = []
        for read in self.keys.values():
            length, _, rest = cursor.partition(":")
            word, cursor = rest[: int(length)], rest[int(length) :]
            key.append(read(word))
        return tuple(key)


def _select_lines(page: _Page) -> _Page:
    """Select the lines of the page's orders, sorted by their keys."""
    orders = page.subquery("page")
    order: list[ColumnElement[Any]] = [orders.c[name] for name in ORDER_NAMES]
    query = select(*order, orders.c.owner_id, *LINE)
    query = join_lines(query, owner=orders.c.owner_id, order_id=orders.c.id)
    return query.order_by(orders.c.owner_id, orders.c.id, col(OrderLineRow.position))


def _map_orders(rows: _Rows) -> list[Record]:
    return [
        row_to_order(UserId(owner), list(lines))
        for (owner, _), lines in groupby(rows, key=attrgetter("owner_id", "id"))
    ]


def _map_rows(to_record: Callable[[Row[Any]], Record]) -> Callable[[_Rows], list[Record]]:
    return lambda rows: [to_record(row) for row in rows]


def _make_inserter(
    table: type[SQLModel], to_row: Callable[[Any], Mapping[str, Any]]
) -> Callable[[Connection, Sequence[Any]], None]:
    return lambda connection, records: insert_rows(connection, table, map(to_row, records))


def _insert_accounts(connection: Connection, accounts: Sequence[AccountRecord]) -> None:
    insert_rows(connection, UserRow, map(account_to_row, accounts))
    advance_id_sequence(connection)


def _insert_orders(connection: Connection, orders: Sequence[Order]) -> None:
    def insert() -> None:
        insert_rows(connection, OrderRow, map(order_to_row, orders))
        insert_rows(connection, OrderLineRow, (row for order in orders for row in line_rows(order)))

    insert_unchecked(connection, (OrderRow, OrderLineRow), insert)


RECORD_MAPPINGS: Mapping[type[Any], RecordMapping] = {
    AccountRecord: RecordMapping(UserRow, {"id": int}, _map_rows(row_to_account), _insert_accounts),
    SubjectRecord: RecordMapping(
        ExternalSubjectRow,
        {"issuer": str, "subject": str},
        _map_rows(row_to_subject),
        _make_inserter(ExternalSubjectRow, subject_to_row),
    ),
    SessionRecord: RecordMapping(
        SessionRow,
        {"id": str},
        _map_rows(row_to_session_record),
        _make_inserter(SessionRow, session_record_to_row),
    ),
    RefreshTokenRecord: RecordMapping(
        RefreshTokenRow,
        {"digest": bytes.fromhex},
        _map_rows(row_to_refresh_token),
        _make_inserter(RefreshTokenRow, refresh_token_row),
    ),
    Order: RecordMapping(
        OrderRow, {"owner_id": int, "id": int}, _map_orders, _insert_orders, _select_lines
    ),
    KeyRecord: RecordMapping(
        IdempotencyKeyRow,
        {"owner_id": int, "key": str},
        _map_rows(row_to_key),
        _make_inserter(IdempotencyKeyRow, key_to_row),
    ),
}
