"""Users, sessions and orders as rows of their tables.

Readers check types and no rules, because rules apply to new values only. SQLite stores values of
any type in any column.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from types import UnionType
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, Select, and_
from sqlmodel import col

from ordergate.adapters.sql.tables import OrderLineRow, OrderRow
from ordergate.application.errors import RecordUnreadable
from ordergate.domain.address import find_client_network
from ordergate.domain.money import Money
from ordergate.domain.order import Order, OrderId, OrderLine
from ordergate.domain.session import Session, SessionId
from ordergate.domain.user import User, UserId

S = TypeVar("S")
T = TypeVar("T")

_log = logging.getLogger("ordergate.storage")

ORDER_NAMES = ("id", "status", "placed_at", "currency", "version")
ORDER = tuple(col(getattr(OrderRow, name)) for name in ORDER_NAMES)
LINE_NAMES = ("position", "sku", "name", "quantity", "unit_price")
LINE = tuple(col(getattr(OrderLineRow, name)) for name in LINE_NAMES)


def join_lines(
    orders: Select[*tuple[Any, ...]], *, owner: ColumnElement[int], order_id: ColumnElement[int]
) -> Select[*tuple[Any, ...]]:
    """Join orders with their lines.

    An order without lines has one row, with no values of a line.
    """
    key = and_(col(OrderLineRow.owner_id) == owner, col(OrderLineRow.order_id) == order_id)
    return orders.outerjoin(OrderLineRow, key)


def user_to_row(user: User) -> dict[str, Any]:
    """Return the row of an open account."""
    return {"id": user.id, "username": user.username.value, "password_hash": user.password_hash}


def order_to_row(order: Order) -> dict[str, Any]:
    """Return the row of an order without its lines."""
    return {
        "owner_id": order.owner,
        "id": order.id,
        "status": str(order.status),
        "placed_at": order.placed_at,
        "currency": order.currency,
        "version": order.version,
    }


def line_rows(order: Order) -> Iterator[dict[str, Any]]:
    """Return the rows of an order's lines."""
    for position, line in enumerate(order.lines):
        yield {
            "owner_id": order.owner,
            "order_id": order.id,
            "position": position,
            "sku": line.sku,
            "name": line.name,
            "quantity": line.quantity,
            "unit_price": line.unit_price.minor,
        }


_POSITION = -len(LINE)
_ORDER_TYPES = (int, str, datetime, str, int)
_LINE_TYPES = (int, str, str, int, int)


def row_to_order(owner: UserId, lines: list[Sequence[Any]]) -> Order:
    """Return the order of its rows, one for each line.

    A row has the columns of `ORDER`, any others, and those of `LINE`. Raises `RecordUnreadable` for
    an order without lines and for values of a wrong type.
    """
    order_id, status, placed_at, currency, version = values = tuple(lines[0][:5])
    if tuple(map(type, values)) != _ORDER_TYPES:
        raise _make_unreadable_error(
            owner, order_id, zip(ORDER_NAMES, values, _ORDER_TYPES, strict=True)
        )
    if lines[0][_POSITION] is None:
        raise RecordUnreadable(_describe_order(owner, order_id), "it has no lines")
    made = {}
    for line in lines:
        position, sku, name, quantity, unit_price = values = tuple(line[_POSITION:])
        if tuple(map(type, values)) != _LINE_TYPES:
            names = [f"{name} of line {position}" for name in LINE_NAMES]
            raise _make_unreadable_error(
                owner, order_id, zip(names, values, _LINE_TYPES, strict=True)
            )
        made[position] = OrderLine(sku, name, quantity, Money(unit_price, currency))
    in_order = tuple([made[position] for position in sorted(made)])
    return Order(OrderId(order_id), owner, status, placed_at, in_order, version)


def _make_unreadable_error(
    owner: UserId, order_id: int, values: Iterable[tuple[str, object, type]]
) -> RecordUnreadable:
    wrong = (name for name, value, kind in values if type(value) is not kind)
    return RecordUnreadable(_describe_order(owner, order_id), wrong_type(wrong))


def _describe_order(owner: UserId, order_id: int) -> str:
    return f"order {order_id} of account {owner}"


def wrong_type(columns: Iterable[str]) -> str:
    """Name the columns with values of a wrong type, if any."""
    return f"the type of a value is wrong: {', '.join(columns)}"


def check_types(record: str, row: Row[Any], **kinds: type | UnionType) -> None:
    """Raise `RecordUnreadable` for values of other types than these."""
    wrong = [name for name, kind in kinds.items() if not isinstance(getattr(row, name), kind)]
    if wrong:
        raise RecordUnreadable(record, wrong_type(wrong))


def readable(rows: Iterable[S], record_of: Callable[[S], T]) -> Iterator[T]:
    """Convert rows to records; log and omit those that are `RecordUnreadable`."""
    for row in rows:
        try:
            yield record_of(row)
        except RecordUnreadable as error:
            _log.error("%s", error)


def session_to_row(session: Session) -> dict[str, object]:
    """Return the row of an active session."""
    return {
        "id": session.id,
        "user_id": session.user,
        "client_id": session.client_id,
        "address": session.address,
        "site": find_client_network(session.address),
        "scope": " ".join(sorted(session.scope)),
        "started_at": session.started_at,
        "last_used_at": session.last_used_at,
        "expires_at": session.expires_at,
    }


def row_to_session(row: Row[Any]) -> Session:
    """Return the session of a row. Raises `RecordUnreadable`."""
    check_types(
        f"session {row.id}",
        row,
        client_id=str,
        address=str,
        scope=str,
        started_at=datetime,
        last_used_at=datetime,
        expires_at=datetime,
    )
    return Session(
        id=SessionId(row.id),
        user=UserId(row.user_id),
        client_id=row.client_id,
        address=row.address,
        scope=frozenset(row.scope.split()),
        started_at=row.started_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
    )
