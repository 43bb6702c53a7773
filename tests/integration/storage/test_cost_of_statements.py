"""The cost of each repository method on skewed data.

One user has a million orders, the largest number of active sessions, 50,000 ended sessions and
50,000 expired ones; one session has 200,000 used refresh tokens. A plan that suits evenly spread
rows reads all of them.
"""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest
from sqlalchemy import Engine, event

from ordergate.adapters.sql.database import Rows, Values
from ordergate.adapters.sql.postgres.statement import PostgresStatement
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.maintenance.purge_storage import STEP
from ordergate.application.ports.orders import (
    IdempotencyKey,
    OrderQuery,
    OrderRepository,
    Position,
    StaffOrders,
)
from ordergate.application.ports.sessions import (
    Forgotten,
    NewSession,
    SessionRepository,
    TokenExchange,
)
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.users import PasswordChange, UserRepository
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import MAX_SESSIONS, Session, SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, UserId, Username
from tests.support.builders import TEAPOT
from tests.support.databases.postgres import Databases, database_at, execute

ORDERS = 1_000_000
TOKENS = 200_000
SESSIONS = 50_000

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
NOW = FIRST + timedelta(days=365)
BUSY, QUIET = UserId(1), UserId(2)
HASH = PasswordHash("hash")
LIVE = SessionId("live")
UNUSED = TokenDigest(b"unused")
USED_LONG_AGO = TokenDigest(b"used 0")
USED_LATELY = TokenDigest(b"used lately")
LATER = NOW + timedelta(days=30)

NOW_SECONDS = int((NOW - FIRST).total_seconds())
LATER_SECONDS = int((LATER - FIRST).total_seconds())

MOST_INSTRUCTIONS = 20_000
"""Instructions of SQLite's virtual machine; a page of 50 orders takes about 5,000."""

MOST_INSTRUCTIONS_OF_A_ROW = 400
"""Instructions of SQLite's virtual machine for each row that `purge` removes."""

MOST_BLOCKS = 500
"""Blocks of PostgreSQL, 8 KiB each; a page of 50 orders takes about 250."""

EACH_SESSION = {"sessions.list_active", "users.change_password"}
"""Calls that read or end each live session of a user who has as many as the settings allow."""


def most_instructions(call: str) -> int:
    return 100 * MAX_SESSIONS if call in EACH_SESSION else MOST_INSTRUCTIONS


def most_blocks(call: str) -> int:
    return 20 * MAX_SESSIONS if call in EACH_SESSION else MOST_BLOCKS


Call = Callable[[Storage], Awaitable[object]]


def an_order(order_id: int) -> Order:
    return Order(OrderId(order_id), BUSY, OrderStatus.PLACED, NOW, (TEAPOT,))


def a_session(user: UserId) -> Session:
    return Session(SessionId("new"), user, "shop", "192.0.2.1", frozenset(), NOW, NOW, LATER)


def rotate(old: TokenDigest) -> Call:
    return lambda storage: storage.sessions.rotate(
        TokenExchange(
            old,
            TokenDigest(b"new"),
            sealed=b"sealed",
            at=NOW,
            expires_at=LATER,
            grace=timedelta(seconds=10),
        )
    )


CALLS: dict[str, Call] = {
    "orders.get_owned": lambda s: s.orders.get_owned(OrderId(ORDERS // 2), owner=BUSY),
    "orders.get_owned, another's": lambda s: s.orders.get_owned(OrderId(7), owner=QUIET),
    "orders.list_owned": lambda s: s.orders.list_owned(OrderQuery(limit=50), owner=BUSY),
    "orders.list_owned, few": lambda s: s.orders.list_owned(OrderQuery(limit=5), owner=BUSY),
    "orders.list_owned, far back": lambda s: s.orders.list_owned(
        OrderQuery(before=Position(FIRST + timedelta(days=5), 9), limit=50), owner=BUSY
    ),
    "orders.list_owned, of a status": lambda s: s.orders.list_owned(
        OrderQuery(status=OrderStatus.PAID, since=FIRST, limit=50), owner=BUSY
    ),
    "orders.list_owned, none": lambda s: s.orders.list_owned(OrderQuery(limit=50), owner=QUIET),
    "orders.add": lambda s: s.orders.add(
        an_order(ORDERS + 1), owner=BUSY, key=IdempotencyKey("new", LATER)
    ),
    "orders.add, repeated": lambda s: s.orders.add(
        an_order(ORDERS + 2), owner=BUSY, key=IdempotencyKey("key 1", LATER)
    ),
    "orders.update": lambda s: s.orders.update(
        OrderId(ORDERS), owner=BUSY, change=lambda order: order
    ),
    "orders.purge_expired_keys": lambda s: s.orders.purge_expired_keys(expired_by=NOW, limit=50),
    "staff_orders.list_owners": lambda s: s.staff_orders.list_owners(OrderId(7)),
    "users.find": lambda s: s.users.find(Username("user1")),
    "users.get": lambda s: s.users.get(BUSY),
    "users.list_accounts": lambda s: s.users.list_accounts(after=BUSY, limit=100),
    "users.add": lambda s: s.users.add(Username("user3"), HASH),
    "users.replace_password_hash": lambda s: s.users.replace_password_hash(
        QUIET, old=HASH, new=PasswordHash("hash ")
    ),
    "sessions.start, beyond the limit": lambda s: s.sessions.start(
        NewSession(
            replace(a_session(BUSY), id=SessionId("surplus")),
            TokenDigest(b"surplus"),
            token_expires_at=LATER,
            password_hash=PasswordHash("hash"),
        ),
        limit=MAX_SESSIONS,
    ),
    "sessions.list_active": lambda s: s.sessions.list_active(BUSY, at=NOW, limit=100),
    "users.change_password": lambda s: s.users.change_password(
        PasswordChange(BUSY, old=HASH, new=PasswordHash("another"), keep=LIVE, at=NOW)
    ),
    "users.close": lambda s: s.users.close(UserId(3), password_hash=HASH, at=NOW),
    "users.get_or_create_by_subject": lambda s: s.users.get_or_create_by_subject(
        "https://id.example", "somebody"
    ),
    "sessions.start": lambda s: s.sessions.start(
        NewSession(
            a_session(QUIET),
            TokenDigest(b"start"),
            token_expires_at=LATER,
            password_hash=PasswordHash("hash "),
        ),
        limit=100,
    ),
    "sessions.get_by_refresh_token": lambda s: s.sessions.get_by_refresh_token(UNUSED),
    "sessions.is_used": lambda s: s.sessions.is_used(UNUSED),
    "sessions.is_active": lambda s: s.sessions.is_active(LIVE, user=BUSY, at=NOW),
    "sessions.has_signed_in_from": lambda s: s.sessions.has_signed_in_from(BUSY, "198.51.100.1"),
    "sessions.sealed_successor": lambda s: s.sessions.sealed_successor(USED_LATELY),
    "sessions.rotate": rotate(UNUSED),
    "sessions.rotate, repeated": rotate(USED_LATELY),
    "sessions.rotate, unknown": rotate(TokenDigest(b"unknown")),
    "sessions.rotate, used long ago": rotate(USED_LONG_AGO),
    "sessions.end": lambda s: s.sessions.end(
        SessionId("other"), user=BUSY, reason=SessionEndReason.SIGNED_OUT, at=NOW
    ),
    "sessions.end_all": lambda s: s.sessions.end_all(
        BUSY, reason=SessionEndReason.SIGNED_OUT, at=NOW
    ),
    "sessions.ended_since": lambda s: s.sessions.ended_since(NOW),
    "sessions.purge_ended": lambda s: s.sessions.purge_ended(
        over_by=FIRST + timedelta(days=9), limit=50
    ),
}
"""One call of each method, in an order in which each finds what it needs."""


def test_measured_calls_cover_every_repository_method() -> None:
    methods = {
        f"{name}.{method}"
        for name, port in {
            "orders": OrderRepository,
            "staff_orders": StaffOrders,
            "users": UserRepository,
            "sessions": SessionRepository,
        }.items()
        for method in port.__abstractmethods__
    }
    assert {call.partition(",")[0] for call in CALLS} == methods


SKEW = f"""
INSERT INTO users (username, password_hash) VALUES
    ('user1', 'hash'), ('user2', 'hash'), ('another', 'hash');
INSERT INTO orders (owner_id, id, status, placed_at, currency, version)
    SELECT 1, n, CASE n % 3 WHEN 0 THEN 'paid' ELSE 'placed' END, at(n), 'EUR', 1 FROM numbers;
INSERT INTO orders (owner_id, id, status, placed_at, currency, version)
    SELECT 3, n, CASE n % 2 WHEN 0 THEN 'cancelled' ELSE 'delivered' END, at(n), 'EUR', 1
    FROM numbers WHERE n <= {TOKENS};
INSERT INTO order_lines (owner_id, order_id, position, sku, name, quantity, unit_price)
    SELECT owner_id, id, 0, 'TEA', 'Tea', 1, 980 FROM orders;
INSERT INTO idempotency_keys (owner_id, key, order_id, expires_at)
    SELECT 1, 'key ' || n, n, at({LATER_SECONDS} - n) FROM numbers WHERE n <= {TOKENS};
INSERT INTO idempotency_keys (owner_id, key, order_id, expires_at)
    SELECT 1, 'old ' || n, n, at(n) FROM numbers WHERE n <= {TOKENS};
INSERT INTO sessions
    SELECT 'ended' || n, 1, 'shop', '192.0.2.1', '192.0.2.1', '', at(0), at(n),
        at({LATER_SECONDS}), at({NOW_SECONDS} - n), 'revoked'
    FROM numbers WHERE n <= {SESSIONS};
INSERT INTO sessions
    SELECT 'expired' || n, 1, 'shop', '192.0.2.1', '192.0.2.1', '', at(0), at(n), at(n), NULL, NULL
    FROM numbers WHERE n <= {SESSIONS};
INSERT INTO sessions
    SELECT id, 1, 'shop', '192.0.2.1', '192.0.2.1', '', at(0), at(0), at({LATER_SECONDS}),
        NULL, NULL
    FROM (SELECT 'live' AS id UNION SELECT 'other') AS names;
INSERT INTO sessions
    SELECT 'live' || n, 1, 'shop', '192.0.2.1', '192.0.2.1', '', at(0), at(n), at({LATER_SECONDS}),
        NULL, NULL
    FROM numbers WHERE n <= {MAX_SESSIONS} - 2;
INSERT INTO refresh_tokens
    SELECT bytes('live ' || n), 'live' || n, at({LATER_SECONDS}), NULL, NULL
    FROM numbers WHERE n <= {MAX_SESSIONS} - 2;
INSERT INTO refresh_tokens
    SELECT bytes('used ' || n), 'live', at({LATER_SECONDS}), at(n), NULL
    FROM numbers WHERE n <= {TOKENS};
INSERT INTO refresh_tokens VALUES
    (bytes('used 0'), 'other', at({LATER_SECONDS}), at(0), NULL),
    (bytes('used lately'), 'live', at({LATER_SECONDS}), at({NOW_SECONDS} - 5), bytes('sealed')),
    (bytes('unused'), 'live', at({LATER_SECONDS}), NULL, NULL);
DROP TABLE numbers;
"""
"""Fills the tables; `numbers` has those from 1 to `ORDERS`, `at` makes a time of seconds."""


# SQLite


@pytest.fixture(scope="module")
def skewed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("skewed") / "skewed.db"

    async def migrate() -> None:
        storage = SqlStorage(SqliteDatabase(file))
        await storage.migrate()
        await storage.close()

    asyncio.run(migrate())
    connection = sqlite3.connect(file)
    connection.create_function(
        "at", 1, lambda seconds: f"{FIRST + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S.%f}"
    )
    connection.create_function("bytes", 1, str.encode)
    connection.execute("CREATE TABLE numbers (n INTEGER)")
    connection.executemany("INSERT INTO numbers VALUES (?)", ((n + 1,) for n in range(ORDERS)))
    connection.executescript("PRAGMA synchronous = OFF; BEGIN;" + SKEW + "COMMIT;")
    connection.close()
    return file


@contextmanager
def counting_instructions() -> Iterator[list[int]]:
    """Count hundreds of SQLite's virtual machine instructions on new connections."""
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    def watch(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(count, 100)

    event.listen(Engine, "connect", watch)
    yield counted
    event.remove(Engine, "connect", watch)


@pytest.mark.parametrize("statistics", ["", "ANALYZE"], ids=["no statistics", "analyzed"])
async def test_repository_methods_read_few_rows_on_sqlite(
    skewed_file: Path, tmp_path: Path, statistics: str
) -> None:
    shutil.copy(skewed_file, tmp_path / "copy.db")
    connection = sqlite3.connect(tmp_path / "copy.db")
    connection.execute(statistics)
    connection.close()
    storage = SqlStorage(SqliteDatabase(tmp_path / "copy.db"))
    costs = {}
    with counting_instructions() as counted:
        for name, call in CALLS.items():
            before = counted[0]
            await call(storage)
            costs[name] = 100 * (counted[0] - before)
        await storage.close()
    assert {name: cost for name, cost in costs.items() if cost > most_instructions(name)} == {}


async def test_purge_steps_cost_the_same_on_sqlite(skewed_file: Path, tmp_path: Path) -> None:
    """The cost does not depend on a session's tokens or earlier steps."""
    shutil.copy(skewed_file, tmp_path / "copy.db")
    storage = SqlStorage(SqliteDatabase(tmp_path / "copy.db"))
    await storage.sessions.end(LIVE, user=BUSY, reason=SessionEndReason.SIGNED_OUT, at=FIRST)
    removed = Forgotten(0, 0)
    with counting_instructions() as counted:
        costs = []
        while True:
            before = counted[0]
            step = await storage.sessions.purge_ended(over_by=NOW - timedelta(days=1), limit=STEP)
            if not any(step):
                break
            costs.append(100 * (counted[0] - before))
            removed = Forgotten(*map(sum, zip(removed, step, strict=True)))
    await storage.close()
    assert removed.tokens == TOKENS + 2
    assert removed.sessions >= SESSIONS
    assert len(costs) <= sum(removed) // STEP + 2
    assert max(costs) < MOST_INSTRUCTIONS_OF_A_ROW * STEP


# PostgreSQL


@pytest.fixture(scope="module")
def skewed_url(postgres_databases: Databases) -> Iterator[str]:
    url = postgres_databases.create(migrated=True)
    asyncio.run(
        execute(
            url,
            f"""
            CREATE FUNCTION at(seconds bigint) RETURNS timestamptz IMMUTABLE LANGUAGE SQL
                AS $$ SELECT timestamptz '{FIRST}' + seconds * interval '1 second' $$;
            CREATE FUNCTION bytes(value text) RETURNS bytea IMMUTABLE LANGUAGE SQL
                AS $$ SELECT convert_to(value, 'UTF8') $$;
            SET session_replication_role = replica; -- no checks of foreign keys
            CREATE TABLE numbers AS SELECT generate_series(1, {ORDERS}) AS n;
            {SKEW}
            """,
            "ANALYZE",
        )
    )
    yield url
    postgres_databases.drop(url)


@pytest.fixture
def copied_url(skewed_url: str, postgres_databases: Databases) -> Iterator[str]:
    url = postgres_databases.create(template=skewed_url)
    yield url
    postgres_databases.drop(url)


EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"


@contextmanager
def counting_blocks(engine: Engine, mode: str) -> Iterator[list[int]]:
    """Count the blocks that each statement reads, by explaining it first."""
    counted = [0]

    def count(plan: Any) -> None:
        (explained,) = json.loads(plan) if isinstance(plan, str) else plan
        blocks = explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"]
        counted[0] += blocks

    def explain(*arguments: Any) -> None:
        connection, _, statement, parameters, _, many = arguments
        writes = not statement.startswith("SELECT")
        cursor = connection.connection.cursor()
        cursor.execute(f"SET plan_cache_mode = {mode}")
        if writes:
            cursor.execute("SAVEPOINT explained")
        cursor.execute(f"{EXPLAIN} {statement}", parameters[0] if many else parameters)
        ((plan,),) = cursor.fetchall()
        if writes:
            cursor.execute("ROLLBACK TO SAVEPOINT explained")
        count(plan)

    run = PostgresStatement.run

    async def explain_and_run(
        statement: PostgresStatement, connection: asyncpg.Connection, values: Values
    ) -> Rows:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        transaction = connection.transaction()
        await transaction.start()
        count(await connection.fetchval(f"{EXPLAIN} {statement.sql}", *statement.bind(values)))
        await transaction.rollback()
        return await run(statement, connection, values)

    event.listen(engine, "before_cursor_execute", explain)
    with patch.object(PostgresStatement, "run", explain_and_run):
        yield counted
    event.remove(engine, "before_cursor_execute", explain)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_repository_methods_read_few_rows_on_postgresql(copied_url: str, mode: str) -> None:
    database = database_at(copied_url)
    storage, costs = SqlStorage(database), {}
    with counting_blocks(database._engine.sync_engine, mode) as counted:
        for name, call in CALLS.items():
            before = counted[0]
            await call(storage)
            costs[name] = counted[0] - before
    await storage.close()
    assert {name: cost for name, cost in costs.items() if cost > most_blocks(name)} == {}
