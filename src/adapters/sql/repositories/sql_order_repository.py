"""Orders in SQL."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from ordergate.adapters.sql.database import Database, OrderRows, OrderWriter, Reader, Rows, Values
from ordergate.adapters.sql.repositories.order_statements import (
    DELETE_KEY,
    INSERT_KEY,
    INSERT_LINES,
    INSERT_ORDER,
    LOCK_OWNER,
    OWNED,
    PAGE,
    PAGE_OF_STATUS,
    THIS_ORDER,
    find_order_or_purge_key,
    get_owned,
)
from ordergate.adapters.sql.rows import line_rows, order_to_row, readable, row_to_order
from ordergate.adapters.sql.tables import CLOSED, IdempotencyKeyRow, OrderRow
from ordergate.application.consistency import begin_write
from ordergate.application.errors import OrderIdTaken, OutcomeUnknown, StorageUnavailable
from ordergate.application.ports.orders import (
    IdempotencyKey,
    OrderQuery,
    OrderRepository,
    Position,
    StaffOrders,
)
from ordergate.domain.order import Order, OrderId
from ordergate.domain.user import MAX_ID, UserId

_NEWEST = Position(datetime.max.replace(tzinfo=UTC), MAX_ID + 1)
_OLDEST = datetime.min.replace(tzinfo=UTC)

# More orders may have hundreds of lines, which take longer than a hop to a thread.
_FEW = 2


class SqlOrderRepository(OrderRepository):
    """The tables `orders`, `order_lines` and `idempotency_keys`.

    Reads of owners may have another source, which reads copies of the tables.
    """

    def __init__(self, database: Database, reads: Reader | None = None) -> None:
        self._database, self._reads = database, reads or database
        self._writer = database if isinstance(database, OrderWriter) else None

    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        """Read the order and its lines in one SELECT by both keys."""
        return await _find_owned(self._reads, order_id, owner)

    async def list_owned(self, query: OrderQuery, *, owner: UserId) -> Sequence[Order]:
        """Read a range of the owner's index, and the orders' lines."""
        before = query.before or _NEWEST
        values: dict[str, Any] = {
            "owner": owner,
            "since": query.since or _OLDEST,
            "placed_at": before.placed_at,
            "id": before.id - 1,
            "limit": query.limit,
        }
        statement = PAGE
        if query.status is not None:
            statement, values["status"] = PAGE_OF_STATUS, query.status.value

        def work(connection: Connection) -> tuple[list[Order], int]:
            found = _group_by_order(connection.execute(statement, values).all())
            return list(readable(found, lambda lines: row_to_order(owner, lines))), len(found)

        while True:
            orders, found = await self._reads.read(work, large=values["limit"] > _FEW)
            if len(orders) >= query.limit or found < values["limit"]:
                break
            values["limit"] = query.limit + 2 * (found - len(orders))  # others, for those left out
        orders.sort(key=lambda order: (order.placed_at, order.id), reverse=True)
        return orders[: query.limit]

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        """Insert the order, its lines and its key, under the owner's lock."""
        if order.owner != owner:
            raise ValueError("the order has another owner")
        begin_write()
        rows = OrderRows(
            order_to_row(order), list(line_rows(order)), _key_to_row(key, order) if key else None
        )
        run = self._database.run

        def work(connection: Connection) -> Order | None:
            self._database.take_turn(connection, owner)
            found = run(connection, LOCK_OWNER, {"owner": owner})
            if not found or found[0][0].startswith(CLOSED):
                return None
            if key and (known := find_order_or_purge_key(connection, key, owner, order.placed_at)):
                return known
            run(connection, INSERT_ORDER, rows.order)
            run(connection, INSERT_LINES, *rows.lines)
            if rows.key:
                run(connection, INSERT_KEY, rows.key)
            return order

        try:
            if self._writer:
                return await self._writer.insert_order(rows, placed=order, otherwise=work)
            return await self._database.write(work, repeatable=True)
        except IntegrityError:
            return await self._await_earlier_order(order)

    async def _await_earlier_order(self, order: Order) -> Order:
        """Return the order of an earlier attempt once it cannot be lost."""
        try:
            there = await self._database.confirmed(lambda c: get_owned(c, order.owner, order.id))
        except StorageUnavailable as error:
            raise OutcomeUnknown(str(error)) from None
        if there is None or there.as_placed != order.as_placed:
            raise OrderIdTaken
        return there

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        """Read and update the order.

        Both are under the owner's lock, or the update is only of an order that is as it was read.
        """

        def work(connection: Connection) -> Order | None:
            self._database.take_turn(connection, owner)
            connection.scalar(LOCK_OWNER, {"owner": owner})
            order = get_owned(connection, owner, order_id)
            if order is None:
                return None
            changed = _apply(change, order)
            connection.execute(
                update(OrderRow)
                .where(THIS_ORDER)
                .values(status=str(changed.status), version=changed.version),
                {"owner": owner, "order_id": order_id},
            )
            return changed

        begin_write()
        if self._writer is None:
            return await self._database.write(work)
        order = await _find_owned(self._database, order_id, owner)
        if order is None:
            return None
        changed = _apply(change, order)
        return await self._writer.update_order(
            order_to_row(order), order_to_row(changed), changed=changed, otherwise=work
        )

    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        """Select keys by the index on their time, and delete each."""
        expired = (
            select(col(IdempotencyKeyRow.owner_id), col(IdempotencyKeyRow.key))
            .where(col(IdempotencyKeyRow.expires_at) <= expired_by)
            .order_by(col(IdempotencyKeyRow.expires_at))
            .limit(limit)
            .with_for_update(skip_locked=True)  # for another that forgets
        )

        def work(connection: Connection) -> int:
            keys = [{"owner": row.owner_id, "key": row.key} for row in connection.execute(expired)]
            if keys:
                # SQLite would search for a single DELETE of all by the owner only.
                connection.execute(DELETE_KEY, keys)
            return len(keys)

        return await self._database.write(work)


class SqlStaffOrders(StaffOrders):
    """The table `orders`, by an index on the id alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_owners(self, order_id: OrderId) -> Sequence[UserId]:
        """Read the owners from the index."""
        query = select(col(OrderRow.owner_id)).where(col(OrderRow.id) == order_id)
        rows = await self._database.read(lambda connection: connection.scalars(query).all())
        return [UserId(owner) for owner in rows]


async def _find_owned(reader: Reader, order_id: OrderId, owner: UserId) -> Order | None:
    rows = await reader.rows(OWNED, {"owner": owner, "order_id": order_id})
    return row_to_order(owner, list(rows)) if rows else None


def _apply(change: Callable[[Order], Order], order: Order) -> Order:
    """Change only what is stored of a change."""
    changed = change(order)
    return replace(order, status=changed.status, version=changed.version)


def _key_to_row(key: IdempotencyKey, order: Order) -> Values:
    return {
        "owner_id": order.owner,
        "key": key.value,
        "order_id": order.id,
        "expires_at": key.expires_at,
    }


def _group_by_order(rows: Rows) -> list[list[Sequence[Any]]]:
    """Group the lines by order."""
    lines: dict[int, list[Sequence[Any]]] = {}
    for row in rows:
        lines.setdefault(row[0], []).append(row)
    return list(lines.values())
