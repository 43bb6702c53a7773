"""Blocks that change an order as a whole, under its owner's lock."""

from functools import cache, lru_cache

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    bindparam,
    insert,
    literal_column,
    not_,
    select,
    update,
)

from ordergate.adapters.sql.database import OrderRows, Values
from ordergate.adapters.sql.mysql.cluster import write_turn
from ordergate.adapters.sql.mysql.writes.block import Block
from ordergate.adapters.sql.tables import CLOSED, Table
from ordergate.adapters.sql.write_values import CHANGING

_USERS, _ORDERS, _LINES, _KEYS = (
    Table.metadata.tables[name] for name in ("users", "orders", "order_lines", "idempotency_keys")
)
_OWNER: BindParameter[int] = bindparam("owner")
_LOCKED = select(_USERS.c.id).where(_USERS.c.id == _OWNER).with_for_update()
_BEGIN = "DECLARE the_owner TYPE OF users.id; START TRANSACTION;"
_TURN = (write_turn("owner"), ";")

# Each size of an order has a block of its own. Most orders are small.
_SIZES = 64


@lru_cache(maxsize=_SIZES)
def make_placing(lines: int, *, has_key: bool, in_cluster: bool) -> Block:
    """Return the block that places an order of so many lines.

    It returns the owner, and nothing for a closed account or a key in use.
    """
    condition: tuple[str | ClauseElement, ...] = ()
    key: tuple[str | ClauseElement, ...] = ()
    if has_key:
        known = select(_KEYS.c.order_id).where(
            _KEYS.c.owner_id == literal_column("the_owner"), _KEYS.c.key == bindparam("key")
        )
        condition = ("AND NOT EXISTS (", known, ")")
        key = (insert(_KEYS), ";")
    each_line: list[Values] = [
        {column.name: bindparam(_name_value(column.name, i)) for column in _LINES.c}
        for i in range(lines)
    ]
    return Block(
        _BEGIN,
        *(_TURN if in_cluster else ()),
        "SET the_owner = (",
        _LOCKED.where(not_(_USERS.c.username.startswith(CLOSED))),
        "); IF the_owner IS NOT NULL",
        *condition,
        "THEN",
        insert(_ORDERS),
        ";",
        insert(_LINES).values(each_line),
        ";",
        *key,
        "COMMIT; SELECT the_owner; ELSE ROLLBACK; END IF;",
    )


@cache
def make_change(*, in_cluster: bool) -> Block:
    """Return the block that changes an order.

    It returns the owner, and nothing if the order is not as it was.
    """
    change = (
        update(_ORDERS)
        .where(
            _ORDERS.c.owner_id == literal_column("the_owner"),
            _ORDERS.c.id == bindparam("order_id"),
            *(_ORDERS.c[name] == bindparam(f"old_{name}") for name in CHANGING),
        )
        .values({name: bindparam(f"new_{name}") for name in CHANGING})
    )
    end = "; IF ROW_COUNT() = 1 THEN COMMIT; SELECT the_owner; ELSE ROLLBACK; END IF;"
    turn = _TURN if in_cluster else ()
    return Block(_BEGIN, *turn, "SET the_owner = (", _LOCKED, ");", change, end)


def bind_order(rows: OrderRows) -> Values:
    """Return the values that place an order."""
    lines = {
        _name_value(name, i): value
        for i, line in enumerate(rows.lines)
        for name, value in line.items()
    }
    return {"owner": rows.order["owner_id"], **(rows.key or {}), **rows.order, **lines}


def _name_value(column: str, line: int) -> str:
    return f"{column}_of_{line}"
