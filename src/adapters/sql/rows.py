"""Users, sessions and orders as rows of their tables."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Row
from sqlmodel import col

from adapters.sql.tables import OrderLineRow, OrderRow
from domain.address import site_of
from domain.money import Money
from domain.order import Order, OrderId, OrderLine, OrderStatus
from domain.scope import Scope
from domain.session import Session, SessionId
from domain.user import User, UserId

ORDER_NAMES = ("id", "status", "placed_at", "currency", "version")
ORDER = tuple(col(getattr(OrderRow, name)) for name in ORDER_NAMES)
LINE = (
    col(OrderLineRow.position),
    col(OrderLineRow.sku),
    col(OrderLineRow.name),
    col(OrderLineRow.quantity),
    col(OrderLineRow.unit_price),
)


def user_row(user: User) -> dict[str, Any]:
    """Return the row of an account that is open."""
    return {"id": user.id, "username": user.username.value, "password_hash": user.password_hash}


def order_row(order: Order) -> dict[str, Any]:
    """Return the row of the order itself."""
    return {
        "owner_id": order.owner,
        "id": order.id,
        "status": order.status.value,
        "placed_at": order.placed_at,
        "currency": order.currency,
        "version": order.version,
    }


def line_rows(order: Order) -> Iterator[dict[str, Any]]:
    """Return a row for each line."""
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


def order_of(owner: UserId, lines: list[Sequence[Any]]) -> Order:
    """Return the order of rows that are `ORDER`, then anything, then `LINE`: one a line of it.

    Raises ValueError when they break a rule of orders.
    """
    order_id, status, placed_at, currency, version = lines[0][:5]
    lines.sort(key=itemgetter(_POSITION))
    return Order(
        id=OrderId(order_id),
        owner=owner,
        status=OrderStatus(status),
        placed_at=placed_at,
        lines=tuple(
            OrderLine(sku, name, quantity, Money(unit_price, currency))
            for *_, sku, name, quantity, unit_price in lines
        ),
        version=version,
    )


def session_row(session: Session) -> dict[str, object]:
    """Return the row of a session that has not ended."""
    return {
        "id": session.id,
        "user_id": session.user,
        "client_id": session.client_id,
        "address": session.address,
        "site": site_of(session.address),
        "scope": " ".join(sorted(session.scope)),
        "started_at": session.started_at,
        "last_used_at": session.last_used_at,
        "expires_at": session.expires_at,
    }


def session_of(row: Row[Any]) -> Session:
    """Return the session of a row, ended or not."""
    return Session(
        id=SessionId(row.id),
        user=UserId(row.user_id),
        client_id=row.client_id,
        address=row.address,
        scope=frozenset(Scope(word) for word in row.scope.split()),
        started_at=row.started_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
    )
