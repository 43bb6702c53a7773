"""Statements that change an order as a whole, under its owner's lock.

The lock waits for other writes of the owner. PostgreSQL then evaluates the conditions on the rows
that it locks or updates again, on their newest versions.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BindParameter,
    Column,
    Integer,
    Select,
    String,
    TableClause,
    Update,
    bindparam,
    func,
    insert,
    not_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_unless

from ordergate.adapters.sql.database import OrderRows, Values
from ordergate.adapters.sql.tables import CLOSED, Table
from ordergate.adapters.sql.write_values import CHANGING

_USERS, _ORDERS, _LINES, _KEYS = (
    Table.metadata.tables[name] for name in ("users", "orders", "order_lines", "idempotency_keys")
)
_OWNER: BindParameter[int] = bindparam("owner")
_LOCKED = select(_USERS.c.id).where(_USERS.c.id == _OWNER).with_for_update(key_share=True)
_LINE = [each for each in _LINES.columns if each.key not in {"owner_id", "order_id"}]


def _name_columns(table: TableClause) -> list[str]:
    return [each.key for each in table.columns]


def _bind(columns: Sequence[Column[Any]]) -> list[BindParameter[Any]]:
    return [bindparam(each.key, type_=each.type) for each in columns]


def _bind_array(column: Column[Any]) -> BindParameter[Any]:
    """Bind the values of a column.

    A cast to the length of the column would cut texts.
    """
    kind = column.type if isinstance(column.type, Integer) else String()
    return bindparam(column.key, type_=ARRAY(kind))


def _claim_key(owner: CTE) -> CTE:
    """Insert the key unless it is there.

    The order comes later; foreign keys are checked at the end of the statement.
    """
    order_id = bindparam("id", type_=_KEYS.c.order_id.type)
    values = select(owner.c.id, *_bind([_KEYS.c.key]), order_id, *_bind([_KEYS.c.expires_at]))
    claim = insert_unless(_KEYS).from_select(["owner_id", "key", "order_id", "expires_at"], values)
    return (
        claim.on_conflict_do_nothing(index_elements=list(_KEYS.primary_key))
        .returning(_KEYS.c.owner_id.label("id"))
        .cte("claim")
    )


def _place(owner: CTE) -> Select[tuple[int]]:
    order = select(owner.c.id, *_bind([each for each in _ORDERS.columns if each.key != "owner_id"]))
    placed = (
        insert(_ORDERS)
        .from_select(_name_columns(_ORDERS), order)
        .returning(_ORDERS.c.owner_id, _ORDERS.c.id)
        .cte("placed")
    )
    line = func.unnest(*map(_bind_array, _LINE)).table_valued(*(each.key for each in _LINE))
    line = line.render_derived(name="line")
    each_line = select(placed.c.owner_id, placed.c.id, *line.c).join_from(placed, line, true())
    lines = insert(_LINES).from_select(_name_columns(_LINES), each_line)
    return select(placed.c.id).add_cte(lines.returning(_LINES.c.position).cte("lines"))


_OPEN_ACCOUNT = _LOCKED.where(not_(_USERS.c.username.startswith(CLOSED))).cte("owner")
PLACE = _place(_OPEN_ACCOUNT)
PLACE_WITH_KEY = _place(_claim_key(_OPEN_ACCOUNT))
"""Each returns the id of the placed order, and nothing for a closed account or a key in use."""


def _change() -> Update:
    owner = _LOCKED.cte("owner")
    return (
        update(_ORDERS)
        .where(
            owner.c.id == _ORDERS.c.owner_id,
            _ORDERS.c.owner_id == _OWNER,
            _ORDERS.c.id == bindparam("order_id"),
            *(_ORDERS.c[name] == bindparam(f"old_{name}") for name in CHANGING),
        )
        .values({name: bindparam(f"new_{name}") for name in CHANGING})
        .returning(_ORDERS.c.id)
    )


CHANGE = _change()
"""Returns the id of the changed order, and nothing if the order is not as it was."""


def bind_order(rows: OrderRows) -> Values:
    """Return the values that place an order.

    Rows of lines become one array for each column.
    """
    columns = {each.key: [line[each.key] for line in rows.lines] for each in _LINE}
    return {"owner": rows.order["owner_id"], **(rows.key or {}), **rows.order, **columns}
