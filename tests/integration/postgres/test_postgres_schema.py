"""The schema on PostgreSQL: migrations, and the plans of order statements."""

import asyncio
import json
import multiprocessing
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Connection,
    PrimaryKeyConstraint,
    Select,
    UniqueConstraint,
    UpdateBase,
    event,
    inspect,
    text,
)

from ordergate.adapters.sql.database import Rows, Values
from ordergate.adapters.sql.migrations import HEAD
from ordergate.adapters.sql.migrator import make_migration_config
from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.recognition import VERSIONS
from ordergate.adapters.sql.repositories.sql_order_repository import SqlOrderRepository
from ordergate.adapters.sql.schema import METADATA
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import OrderIdTaken, SchemaNotCurrent, StorageUnavailable
from ordergate.application.ports.orders import IdempotencyKey, OrderQuery, Position
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import PasswordHash, UserId, Username
from tests.support.builders import CUPS, TEAPOT
from tests.support.databases.postgres import Databases, database_at, execute

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ORDER_TABLES = ("orders", "order_lines", "idempotency_keys")


@pytest.fixture
async def bare(bare_postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = database_at(bare_postgres_url)
    yield database
    await database.close()


# Migrations


async def test_database_without_a_schema_is_not_opened(bare: PostgresDatabase) -> None:
    with pytest.raises(SchemaNotCurrent, match="run `ordergate migrate`"):
        await SqlStorage(bare).open()


async def test_missing_database_is_unavailable(bare_postgres_url: str) -> None:
    storage = SqlStorage(database_at(f"{bare_postgres_url}_not"))
    for attempt in (storage.open, storage.migrate):
        with pytest.raises(StorageUnavailable, match=r"_not\" does not exist \(3D000\)"):
            await attempt()


async def test_migrated_schema_equals_the_tables(database: PostgresDatabase) -> None:
    def compare(connection: Connection) -> list[object]:
        compared = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(
            connection, opts={**compared, "version_table": VERSIONS}
        )
        return list(compare_metadata(context, METADATA))

    assert await database.write(compare) == []


async def test_migrated_constraints_equal_the_tables(
    database: PostgresDatabase, bare: PostgresDatabase
) -> None:
    def constraints(connection: Connection) -> list[tuple[str, str]]:
        query = (
            "SELECT conrelid::regclass::text || ' ' || conname, pg_get_constraintdef(oid)"
            " FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
            " AND conrelid IS DISTINCT FROM to_regclass('ordergate_version') ORDER BY 1"
        )
        return [(row[0], row[1]) for row in connection.execute(text(query))]

    await bare.write(METADATA.create_all)
    assert await database.read(constraints) == await bare.read(constraints)


async def test_migrated_indexes_equal_the_tables_in_every_part(
    database: PostgresDatabase, bare: PostgresDatabase
) -> None:
    """Alembic compares columns alone, and would not notice a wrong condition."""

    def indexes(connection: Connection) -> list[str]:
        query = (
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
            " AND tablename <> 'ordergate_version' ORDER BY indexname"
        )
        return list(connection.scalars(text(query)))

    await bare.write(METADATA.create_all)
    assert await database.read(indexes) == await bare.read(indexes)


async def test_migrations_run_up_down_and_up(bare: PostgresDatabase) -> None:
    def climb(connection: Connection) -> None:
        config = make_migration_config(connection)
        revisions = list(ScriptDirectory.from_config(config).walk_revisions())
        for revision in reversed(revisions):
            command.upgrade(config, revision.revision)
            command.downgrade(config, "-1")
            command.upgrade(config, revision.revision)
        for _ in revisions:
            command.downgrade(config, "-1")
        assert inspect(connection).get_table_names() == ["ordergate_version"]
        command.upgrade(config, "head")

    await bare.migrate(climb)
    await SqlStorage(bare).open()


async def test_failed_migration_leaves_nothing(bare: PostgresDatabase) -> None:
    def fail(connection: Connection) -> None:
        command.upgrade(make_migration_config(connection), "head")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await bare.migrate(fail)
    assert await bare.read(lambda connection: inspect(connection).get_table_names()) == []


def _migrate(url: str) -> None:
    asyncio.run(SqlStorage(database_at(url)).migrate())


async def test_parallel_migrations_migrate_once(
    bare: PostgresDatabase, bare_postgres_url: str
) -> None:
    with multiprocessing.get_context("spawn").Pool(10) as pool:
        pool.map(_migrate, [bare_postgres_url] * 10, chunksize=1)
    await SqlStorage(bare).open()
    query = text("SELECT version_num FROM ordergate_version")
    assert await bare.read(lambda c: c.scalars(query).all()) == [HEAD]


def test_owner_is_the_first_column_of_every_order_key() -> None:
    keys = [
        (table, [column.name for column in constraint.columns])
        for table in ORDER_TABLES
        for constraint in METADATA.tables[table].constraints
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint)
    ]
    assert {table for table, _ in keys} == set(ORDER_TABLES)
    assert {columns[0] for _, columns in keys} == {"owner_id"}
    indexes = [index for table in ORDER_TABLES for index in METADATA.tables[table].indexes]
    assert not [index.name for index in indexes if index.unique]


# Plans


@pytest.fixture(scope="module")
def many_url(postgres_databases: Databases) -> Iterator[str]:
    """Store 1,000 owners with 20 orders each, and 20,000 for the first.

    Every order has two lines and a key that expires. There are as many sessions, and half of them
    have ended.
    """
    url = postgres_databases.create(migrated=True)
    asyncio.run(
        execute(
            url,
            "INSERT INTO users (username, password_hash)"
            " SELECT 'user' || n, 'hash' FROM generate_series(1, 1000) n",
            "INSERT INTO orders SELECT CASE WHEN n > 20000 THEN 1 ELSE 1 + n % 1000 END, n,"
            " (ARRAY['placed', 'paid', 'shipped', 'delivered', 'cancelled'])[1 + n % 5],"
            " timestamptz '2026-01-01' + n * interval '1 minute', 'EUR', 1"
            " FROM generate_series(1, 40000) n",
            "INSERT INTO order_lines SELECT owner_id, id, position, 'SKU', 'Tea', 1, 100"
            " FROM orders, generate_series(0, 1) position",
            "INSERT INTO idempotency_keys SELECT owner_id, 'key ' || id, id, placed_at FROM orders",
            "INSERT INTO sessions SELECT 's' || n, 1 + n % 1000, 'c', 'a', 'a', 'account', moment,"
            " moment, moment, CASE WHEN n % 2 = 0 THEN moment END,"
            " CASE WHEN n % 2 = 0 THEN 'signed out' END FROM (SELECT n,"
            " timestamptz '2026-01-01' + n * interval '1 minute' AS moment"
            " FROM generate_series(1, 40000) n) moments",
            "INSERT INTO refresh_tokens SELECT decode(md5(id), 'hex'), id, expires_at"
            " FROM sessions",
            # A sample of 300 rows for each unit covers every row: the plans never depend on chance.
            "SET default_statistics_target = 1000",
            "ANALYZE",
        )
    )
    yield url
    postgres_databases.drop(url)


@pytest.fixture
async def many(many_url: str) -> AsyncIterator[PostgresDatabase]:
    database = database_at(many_url)
    yield database
    await database.close()


class Statements:
    """Every statement that is executed, with what it was given."""

    def __init__(self, database: PostgresDatabase) -> None:
        self.seen: list[tuple[str, Any]] = []
        self._database = database
        event.listen(database._engine.sync_engine, "before_cursor_execute", self._note)
        self._compile = database._compile
        patch.object(database, "_compile", self._compile_noted).start()

    def _compile_noted(self, statement: Select[Any] | UpdateBase) -> SimpleNamespace:
        """Compile a statement for the driver, and note each use."""
        compiled = self._compile(statement)

        async def run(connection: asyncpg.Connection, values: Values) -> Rows:
            self.seen.append((compiled.sql, compiled.bind(values)))
            return await compiled.run(connection, values)

        return SimpleNamespace(run=run)

    def _note(self, *arguments: Any) -> None:
        _, _, statement, parameters, _, many = arguments
        self.seen.append((statement, parameters[0] if many else parameters))

    async def plans(self, mode: str) -> list[str]:
        """Explain what was seen, planned for its values or for any."""
        seen = self.seen.copy()

        def explain(connection: Connection) -> list[str]:
            connection.execute(text(f"SET LOCAL plan_cache_mode = {mode}"))
            plans = []
            for number, (statement, parameters) in enumerate(seen):
                name = f"explained_{number}"
                connection.exec_driver_sql(f"PREPARE {name} AS {statement}")
                values = ", ".join(map(literal, parameters))
                explained = f"EXPLAIN (COSTS OFF) EXECUTE {name}" + (values and f"({values})")
                plans.append("\n".join(row[0] for row in connection.exec_driver_sql(explained)))
                connection.exec_driver_sql(f"DEALLOCATE {name}")
            return plans

        return await self._database.write(explain)


def literal(value: object) -> str:
    if isinstance(value, bytes):
        return rf"'\x{value.hex()}'"
    if isinstance(value, list):
        return literal("{" + ",".join(map(json.dumps, value)) + "}")
    return "'" + str(value).replace("'", "''") + "'"


MODES = pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])


@MODES
async def test_own_order_is_read_by_one_index_look_up(many: PostgresDatabase, mode: str) -> None:
    statements = Statements(many)
    found = await SqlOrderRepository(many).get_owned(OrderId(30_000), owner=UserId(1))
    assert found is not None
    (plan,) = await statements.plans(mode)
    assert plan.count("Index Scan using") == 2
    assert not re.search("Seq Scan|Sort|Bitmap|Filter", plan), plan
    assert "using order_lines_pkey" in plan


@pytest.mark.parametrize("owner", [1, 2])
@MODES
@pytest.mark.parametrize("before", [None, Position(AT - timedelta(days=40), 9)])
@pytest.mark.parametrize(
    ("status", "index"),
    [
        (None, "ix_orders_owner_id_placed_at_id"),
        (OrderStatus.PAID, "ix_orders_owner_id_status_placed_at_id"),
    ],
)
async def test_page_is_one_index_range(
    many: PostgresDatabase,
    *,
    owner: int,
    mode: str,
    before: Position | None,
    status: OrderStatus | None,
    index: str,
) -> None:
    statements = Statements(many)
    await SqlOrderRepository(many).list_owned(
        OrderQuery(status=status, before=before, limit=50), owner=UserId(owner)
    )
    (plan,) = await statements.plans(mode)
    assert f"using {index} on orders" in plan, plan
    assert "using order_lines_pkey" in plan, plan
    assert not re.search("Seq Scan|Sort|Bitmap|Hash|Merge|Filter", plan), plan


@pytest.mark.parametrize("days", [0, 1, 300], ids=["none", "some", "all"])
@MODES
async def test_purge_queries_use_indexes(many: PostgresDatabase, *, mode: str, days: int) -> None:
    statements, storage = Statements(many), SqlStorage(many)
    by = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
    forgotten = sum(await storage.sessions.purge_ended(over_by=by, limit=50))
    forgotten += await storage.orders.purge_expired_keys(expired_by=by, limit=50)
    assert forgotten == (100 if days else 0)
    plans = await statements.plans(mode)
    assert not [plan for plan in plans if re.search("Seq Scan|Sort|Bitmap|Hash Join|Merge", plan)]
    found = re.findall(r"using (ix_\w+_at) ", "\n".join(plans))
    assert found == [
        "ix_sessions_ended_at", "ix_sessions_expires_at", "ix_idempotency_keys_expires_at",
    ]  # fmt: skip


@pytest.fixture
async def partitioned(
    bare_postgres_url: str,
) -> AsyncIterator[PostgresDatabase]:
    """Return a database with its orders in eight partitions by owner."""
    database = database_at(bare_postgres_url)
    await SqlStorage(database).migrate()
    statements = []
    for table in ORDER_TABLES:
        statements += [
            f"ALTER TABLE {table} RENAME TO plain_{table}",
            f"CREATE TABLE {table} (LIKE plain_{table} INCLUDING ALL) PARTITION BY HASH (owner_id)",
        ]
        statements += [
            f"CREATE TABLE {table}_part{part} PARTITION OF {table}"
            f" FOR VALUES WITH (MODULUS 8, REMAINDER {part})"
            for part in range(8)
        ]
    await execute(bare_postgres_url, *statements)
    yield database
    await database.close()


@MODES
async def test_order_statements_touch_one_partition(
    partitioned: PostgresDatabase, mode: str
) -> None:
    storage = SqlStorage(partitioned)
    owner = (await storage.users.add(Username("alice"), PasswordHash("hash"))).id
    order = Order(OrderId(11), owner, OrderStatus.PLACED, AT, (CUPS, TEAPOT))
    key = IdempotencyKey("a wish", AT + timedelta(days=1))
    late = replace(order, id=OrderId(12), placed_at=key.expires_at)
    statements = Statements(partitioned)
    assert await storage.orders.add(order, owner=owner, key=key) == order
    assert await storage.orders.add(replace(order, id=OrderId(13)), owner=owner, key=key) == order
    assert await storage.orders.add(late, owner=owner, key=key) == late
    with pytest.raises(OrderIdTaken):
        await storage.orders.add(replace(late, placed_at=AT), owner=owner)
    assert await storage.orders.get_owned(order.id, owner=owner) == order
    for status in (None, OrderStatus.PLACED):
        assert await storage.orders.list_owned(OrderQuery(status=status, limit=9), owner=owner) == [
            late,
            order,
        ]
    assert await storage.orders.update(
        order.id, owner=owner, change=lambda it: it.transition_to(OrderStatus.CANCELLED)
    )
    statements.seen = [seen for seen in statements.seen if any(t in seen[0] for t in ORDER_TABLES)]
    assert {statement.split()[0] for statement, _ in statements.seen} == {
        "DELETE", "INSERT", "SELECT", "WITH",
    }  # fmt: skip
    for plan in await statements.plans(mode):
        parts = re.findall(r"Scan .*_part(\d)", plan)
        assert len(set(parts)) == 1 or ("Insert on" in plan and not parts), plan
