"""Statements about orders and their idempotency keys."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    insert,
    select,
    tuple_,
)
from sqlmodel import col

from ordergate.adapters.sql.rows import LINE, ORDER, join_lines, row_to_order
from ordergate.adapters.sql.tables import (
    PAGE_INDEX,
    STATUS_PAGE_INDEX,
    IdempotencyKeyRow,
    OrderLineRow,
    OrderRow,
    UserRow,
)
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.domain.order import Order, OrderId
from ordergate.domain.user import UserId

_OWNER: BindParameter[int] = bindparam("owner")
_ORDER_ID: BindParameter[int] = bindparam("order_id")
THIS_ORDER = and_(col(OrderRow.owner_id) == _OWNER, col(OrderRow.id) == _ORDER_ID)

# The join condition of the lines uses the parameters. With the columns of `orders`, PostgreSQL
# would compare the owner and the id again for each line.
OWNED = join_lines(select(*ORDER, *LINE), owner=_OWNER, order_id=_ORDER_ID).where(THIS_ORDER)
"""One row for each line of the order, none without such an order of the owner."""


def _select_page(index: str, *conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """Select a page by an index, which MariaDB and MySQL must use.

    By its estimates for a large owner, MariaDB reads all rows before a page of one status.
    """
    position = tuple_(col(OrderRow.placed_at), col(OrderRow.id))
    before = tuple_(*(bindparam(each.key, type_=each.type) for each in position.clauses))
    orders = (
        select(*ORDER)
        .with_hint(OrderRow, f"FORCE INDEX ({index})", "mysql")
        .where(
            col(OrderRow.owner_id) == _OWNER,
            *conditions,
            col(OrderRow.placed_at) >= bindparam("since"),
            position <= before,  # the repository passes an id that is one less
        )
        .order_by(col(OrderRow.placed_at).desc(), col(OrderRow.id).desc())
        .limit(bindparam("limit"))
        .subquery("page")
    )
    return join_lines(select(orders, *LINE), owner=_OWNER, order_id=orders.c.id)


PAGE = _select_page(PAGE_INDEX)
"""One row for each line of the orders of a page. The subquery sorts and limits by an index."""
PAGE_OF_STATUS = _select_page(STATUS_PAGE_INDEX, col(OrderRow.status) == bindparam("status"))

# Each write transaction first locks the owner's row, so PostgreSQL serializes the writes of one
# owner. SQLite serializes all writes and has no such clause; SQLAlchemy omits it there. The user
# name of a closed account has the prefix `CLOSED`.
LOCK_OWNER = (
    select(col(UserRow.username)).where(col(UserRow.id) == _OWNER).with_for_update(key_share=True)
)
INSERT_ORDER, INSERT_LINES = insert(OrderRow), insert(OrderLineRow)
INSERT_KEY = insert(IdempotencyKeyRow)
_THIS_KEY = and_(
    col(IdempotencyKeyRow.owner_id) == _OWNER, col(IdempotencyKeyRow.key) == bindparam("key")
)
_FIND_KEY = select(col(IdempotencyKeyRow.order_id), col(IdempotencyKeyRow.expires_at)).where(
    _THIS_KEY
)
DELETE_KEY = delete(IdempotencyKeyRow).where(_THIS_KEY)


def get_owned(connection: Connection, owner: UserId, order_id: OrderId) -> Order | None:
    """Read an order and its lines if the owner has it."""
    rows = connection.execute(OWNED, {"owner": owner, "order_id": order_id}).all()
    return row_to_order(owner, list(rows)) if rows else None


def find_order_or_purge_key(
    connection: Connection, key: IdempotencyKey, owner: UserId, now: datetime
) -> Order | None:
    """Return the order of an unexpired key; delete an expired key."""
    this = {"owner": owner, "key": key.value}
    stored = connection.execute(_FIND_KEY, this).one_or_none()
    if stored is None:
        return None
    if stored.expires_at > now:
        return get_owned(connection, owner, OrderId(stored.order_id))
    connection.execute(DELETE_KEY, this)
    return None
