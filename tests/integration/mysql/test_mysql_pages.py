"""What a page of a large owner reads on MariaDB."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event

from ordergate.adapters.sql.mysql.database import MysqlDatabase
from ordergate.adapters.sql.repositories.sql_order_repository import SqlOrderRepository
from ordergate.application.ports.orders import OrderQuery, Position
from ordergate.domain.order import OrderStatus
from ordergate.domain.user import UserId
from tests.support.databases.mariadb import Databases, database_at, execute

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 20
ROWS = "SHOW SESSION STATUS LIKE 'Handler_read%'"

MOST_ROWS = 5 * LIMIT + 5
"""Each order twice, its two lines and the end of these; and the ends of the lists."""


@pytest.fixture(scope="module")
def many_url(mariadb_databases: Databases) -> Iterator[str]:
    """Store 50,000 orders of one owner and 10,000 of another.

    They are a minute apart. Half of them are paid. Of the others, the oldest are delivered.
    """
    url = mariadb_databases.create(migrated=True)
    asyncio.run(
        execute(
            url,
            "INSERT INTO users VALUES (1, 'alice', 'hash'), (2, 'bob', 'hash')",
            "INSERT INTO orders SELECT 1, seq,"
            " CASE WHEN seq % 2 THEN 'paid' WHEN seq < 20000 THEN 'delivered' ELSE 'placed' END,"
            " '2026-01-01' + INTERVAL seq MINUTE, 'EUR', 1 FROM seq_1_to_50000",
            "INSERT INTO orders SELECT 2, id, status, placed_at, currency, 1 FROM orders"
            " WHERE id % 10 < 2",
            "INSERT INTO order_lines SELECT o.owner_id, o.id, p.seq, 'SKU', 'Tea', 1, 100"
            " FROM orders o, seq_0_to_1 p",
            "ANALYZE TABLE orders, order_lines",
        )
    )
    yield url
    mariadb_databases.drop(url)


@pytest.fixture
async def many(many_url: str) -> AsyncIterator[MysqlDatabase]:
    database = database_at(many_url)
    yield database
    await database.close()


class Reads:
    """The plan of each statement about orders, and what it read."""

    def __init__(self) -> None:
        self.plans: list[dict[str, Any]] = []
        self.rows: list[int] = []
        self._watches = True

    def before(self, connection: Connection, *arguments: Any) -> None:
        """Explain a statement, and note the counters."""
        _, statement, values, *_ = arguments
        if self._watches and "orders" in statement:
            self._watches = False
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", values).mappings()
            self.plans.append({step["table"]: dict(step) for step in plan})
            self.rows.append(-self._count(connection))
            self._watches = True

    def after(self, connection: Connection, *arguments: Any) -> None:
        """Count what the statement read."""
        if self._watches and "orders" in arguments[1]:
            self._watches = False
            self.rows[-1] += self._count(connection)
            self._watches = True

    def _count(self, connection: Connection) -> int:
        counters = connection.exec_driver_sql(ROWS.replace("%", "%%")).all()
        return sum(int(value) for _, value in counters)


@contextmanager
def watching(database: MysqlDatabase) -> Iterator[Reads]:
    """Watch the statements of a database."""
    reads, engine = Reads(), database._engine.sync_engine
    watches = {"before_cursor_execute": reads.before, "after_cursor_execute": reads.after}
    for name, watch in watches.items():
        event.listen(engine, name, watch)
    yield reads
    for name, watch in watches.items():
        event.remove(engine, name, watch)


@pytest.mark.parametrize("owner", [1, 2], ids=["large owner", "small owner"])
@pytest.mark.parametrize(
    ("status", "index"),
    [
        (None, "ix_orders_owner_id_placed_at_id"),
        (OrderStatus.PAID, "ix_orders_owner_id_status_placed_at_id"),
        (OrderStatus.DELIVERED, "ix_orders_owner_id_status_placed_at_id"),
    ],
    ids=["any", "paid", "delivered"],
)
@pytest.mark.parametrize("since", [None, 0, 1], ids=["always", "since the first", "since a day"])
@pytest.mark.parametrize("days", [None, 17, 2], ids=["newest", "middle", "far back"])
async def test_page_reads_its_own_rows_alone(
    many: MysqlDatabase,
    *,
    days: int | None,
    since: int | None,
    status: OrderStatus | None,
    index: str,
    owner: int,
) -> None:
    query = OrderQuery(
        before=Position(FIRST + timedelta(days=days), 9) if days else None,
        since=None if since is None else FIRST + timedelta(days=since),
        status=status,
        limit=LIMIT,
    )
    with watching(many) as reads:
        page = await SqlOrderRepository(many).list_owned(query, owner=UserId(owner))
    assert len(page) == LIMIT
    (plan,), (rows,) = reads.plans, reads.rows
    assert (plan["orders"]["type"], plan["orders"]["key"]) == ("range", index), plan
    assert "filesort" not in plan["orders"]["Extra"], plan
    assert plan["order_lines"]["key"] == "PRIMARY", plan
    assert rows <= MOST_ROWS
