"""Failures between the service and PostgreSQL, and their outcomes."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only

from ordergate.adapters.sql.postgres import hosts as postgres_hosts
from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.postgres.url import split_hosts
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import OutcomeUnknown, StorageUnavailable
from ordergate.application.ports.orders import IdempotencyKey, OrderQuery
from ordergate.application.ports.sessions import NewSession
from ordergate.domain.order import Order, OrderId
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.scope import Scope
from ordergate.domain.session import Session, SessionId
from ordergate.domain.user import PasswordHash, User, Username
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.builders import ALICE, AT, a_placed_order
from tests.support.command import PASSWORD
from tests.support.doubles import InstantPasswordHasher
from tests.support.http_client import problem, sign_in
from tests.support.postgres import PostgresServer, database_at, execute
from tests.support.postgres_proxy import PostgresProxy, eventually

SLEEP = text("SELECT pg_sleep(60)")
ONE = text("SELECT 1")


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = database_at(postgres_url)
    yield database
    await database.close()


@pytest.fixture
async def storage(database: PostgresDatabase) -> SqlStorage:
    storage = SqlStorage(database)
    await storage.loader.load([ALICE], [])
    return storage


@pytest.fixture
async def rival(postgres_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Return a connection of another client."""
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


async def wait_for_blocked_lock(rival: "asyncpg.Connection[asyncpg.Record]") -> None:
    await eventually(lambda: rival.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


@pytest.fixture
async def wire(postgres_url: str) -> AsyncIterator[PostgresProxy]:
    async with PostgresProxy(postgres_url).running() as wire:
        yield wire


@pytest.fixture
async def wired(wire: PostgresProxy) -> AsyncIterator[SqlStorage]:
    storage = SqlStorage(database_at(wire.url))
    await storage.loader.load([ALICE], [])
    yield storage
    await storage.close()


# Trips


async def test_read_is_one_round_trip(wired: SqlStorage, wire: PostgresProxy) -> None:
    for _ in range(3):
        wire.sent.clear()
        assert await wired.users.find(ALICE.username) == ALICE
    assert len(wire.sent) == 1
    assert b"BEGIN" not in wire.sent[0]


# Others who do something at the same time


async def test_deadlock_is_retried(
    database: PostgresDatabase, storage: SqlStorage, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    bob = await storage.users.add(Username("bob"), PasswordHash("h"))
    attempts = []

    def work(connection: Connection) -> int:
        attempts.append(1)
        for user in (ALICE, bob):
            connection.execute(
                text("UPDATE users SET password_hash = 'ours' WHERE id = :id"), {"id": user.id}
            )
        return len(attempts)

    await rival.execute("SET deadlock_timeout = '20s'")
    async with rival.transaction():
        await rival.execute("UPDATE users SET password_hash = 'theirs' WHERE id = $1", bob.id)
        writing = asyncio.create_task(database.write(work))
        watcher = await asyncpg.connect(database._hosts.first)
        await wait_for_blocked_lock(watcher)
        await watcher.close()
        await rival.execute("UPDATE users SET password_hash = 'theirs' WHERE id = $1", ALICE.id)
    assert await writing == 2
    assert await rival.fetchval("SELECT count(*) FROM users WHERE password_hash = 'ours'") == 2


async def test_serialization_failure_is_retried(
    database: PostgresDatabase, storage: SqlStorage, postgres_url: str
) -> None:
    attempts = []

    def work(connection: Connection) -> int:
        attempts.append(1)
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        connection.execute(text("SELECT count(*) FROM users"))
        if len(attempts) == 1:
            await_only(execute(postgres_url, "UPDATE users SET password_hash = 'theirs'"))
        connection.execute(text("UPDATE users SET password_hash = 'ours'"))
        return len(attempts)

    assert await database.write(work) == 2


async def test_sign_in_is_refused_while_the_password_changes(
    storage: SqlStorage, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    session = Session(
        SessionId("s" * 22), ALICE.id, "client", "192.0.2.1", frozenset({Scope.ORDERS_READ}),
        AT, AT, AT + timedelta(days=1),
    )  # fmt: skip
    async with rival.transaction():
        await rival.execute("UPDATE users SET password_hash = 'new'")
        starting = asyncio.create_task(
            storage.sessions.start(
                NewSession(
                    session,
                    TokenDigest(b"d" * 32),
                    token_expires_at=session.expires_at,
                    password_hash=ALICE.password_hash,
                ),
                limit=100,
            )
        )
        await wait_for_blocked_lock(rival)
    assert not await starting
    assert await rival.fetchval("SELECT count(*) FROM sessions") == 0


async def test_order_is_refused_while_the_account_closes(
    storage: SqlStorage, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with rival.transaction():
        await rival.execute("UPDATE users SET username = ' closed 1', password_hash = ''")
        adding = asyncio.create_task(storage.orders.add(a_placed_order(), owner=ALICE.id))
        await wait_for_blocked_lock(rival)
    assert await adding is None
    assert await rival.fetchval("SELECT count(*) FROM orders") == 0


# Connections that are lost


def end_backend(connection: Connection, url: str) -> None:
    """End the server's side of a connection, and wait until the client has noticed."""
    pid = connection.scalar(text("SELECT pg_backend_pid()"))
    await_only(execute(url, f"SELECT pg_terminate_backend({pid})"))
    driver = connection.connection.driver_connection

    async def is_closed() -> bool:
        return bool(driver is not None and driver.is_closed())

    await_only(eventually(is_closed))


async def test_connection_is_replaced_when_it_was_lost_before_a_read(
    database: PostgresDatabase, postgres_url: str
) -> None:
    attempts = []

    def work(connection: Connection) -> object:
        attempts.append(1)
        if len(attempts) == 1:
            end_backend(connection, postgres_url)
        return connection.scalar(ONE)

    assert await database.read(work) == 1
    assert len(attempts) == 2


async def test_connection_is_replaced_when_the_backend_ends_during_a_statement(
    database: PostgresDatabase, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    attempts = []

    def work(connection: Connection) -> int:
        attempts.append(1)
        if len(attempts) == 1:
            connection.execute(SLEEP)
        return len(attempts)

    sleeping = "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    for run in (database.read, database.write):
        attempts.clear()
        running = asyncio.create_task(run(work))
        await eventually(lambda: rival.fetchval(f"SELECT count(*) {sleeping}"))
        await rival.execute(f"SELECT pg_terminate_backend(pid) {sleeping}")
        assert await running == 2


@pytest.mark.parametrize("last", [False, True])
async def test_write_happens_once_when_the_connection_is_lost_before_commit(
    database: PostgresDatabase, storage: SqlStorage, postgres_url: str, *, last: bool
) -> None:
    attempts = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        if len(attempts) == 1 and not last:
            end_backend(connection, postgres_url)
        connection.execute(text("INSERT INTO users (username, password_hash) VALUES ('bob', 'h')"))
        if len(attempts) == 1:
            end_backend(connection, postgres_url)

    await database.write(work)
    assert len(attempts) == 2
    assert await storage.users.find(Username("bob")) is not None


async def test_order_is_placed_once_when_its_commit_is_not_answered(
    wired: SqlStorage, wire: PostgresProxy, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    for number, key in enumerate((None, IdempotencyKey("a wish", AT + timedelta(days=1)))):
        wire.losing_answers_to = b"COMMIT;"
        order = a_placed_order(11 + number)
        assert await wired.orders.add(order, owner=ALICE.id, key=key) == order
    assert wire.lost == 2
    assert await rival.fetchval("SELECT count(*) FROM orders") == 2


async def test_other_write_is_of_unknown_outcome_when_its_commit_is_not_answered(
    wired: SqlStorage, wire: PostgresProxy
) -> None:
    wire.losing_answers_to = b"COMMIT;"
    with pytest.raises(OutcomeUnknown, match="the change may or may not be stored"):
        await wired.users.add(Username("bob"), PasswordHash("h"))
    assert await wired.users.find(Username("bob")) is not None


async def test_cancel_reports_an_unknown_outcome_when_its_commit_is_not_answered(
    wired: SqlStorage, wire: PostgresProxy
) -> None:
    container = Container(
        settings=Settings(signing_secret="a secret of more than thirty-two bytes"),
        storage=wired,
        hasher=InstantPasswordHasher(),
    )
    transport = httpx.ASGITransport(create_app(container))
    async with httpx.AsyncClient(transport=transport, base_url="http://in.process") as client:
        await client.post("/users", json={"username": "user1", "password": PASSWORD})
        user = await sign_in(client)
        line = {"sku": "POT", "name": "Teapot", "quantity": 1, "unit_price": "64.00"}
        order = {"currency": "EUR", "lines": [line]}
        placed = await client.post("/orders", headers=user, json=order)
        wire.losing_answers_to = b"COMMIT;"
        answer = await client.post(f"{placed.headers['location']}/cancel", headers=user)
        assert (wire.lost, answer.status_code, answer.headers["retry-after"]) == (1, 503, "1")
        assert problem(answer) == {
            "type": "urn:problem-type:ordergate:outcome-unknown",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "The connection to the storage was lost during the change, which may be"
            " stored; check before you try again.",
            "request_id": answer.headers["x-request-id"],
        }
        looked = await client.get(placed.headers["location"], headers=user)
        assert looked.json()["status"] == "cancelled"


async def test_order_is_of_unknown_outcome_when_its_retry_fails(
    wired: SqlStorage, wire: PostgresProxy, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    wire.losing_answers_to, wire.gone_once_lost = b"COMMIT;", True
    with pytest.raises(OutcomeUnknown, match="the change may or may not be stored"):
        await wired.orders.add(a_placed_order(), owner=ALICE.id)
    assert await rival.fetchval("SELECT count(*) FROM orders") == 1


async def test_interrupted_load_is_atomic(
    database: PostgresDatabase, storage: SqlStorage, postgres_url: str
) -> None:
    await execute(postgres_url, "DELETE FROM users")

    def users() -> Iterator[User]:
        yield ALICE
        await_only(
            execute(
                postgres_url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'ordergate' AND datname = current_database()",
            )
        )

    with pytest.raises(StorageUnavailable, match="nothing is loaded, try again"):
        await storage.loader.load(users(), [])
    assert await storage.users.find(ALICE.username) is None


# Time that is over


async def assert_unavailable_within(seconds: float, work: Awaitable[object], words: str) -> None:
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match=words):
        await work
    assert time.monotonic() - began < seconds


async def test_statement_has_a_time_limit(postgres_url: str) -> None:
    database = database_at(postgres_url, statement_seconds=0.3)
    await assert_unavailable_within(
        5, database.read(lambda c: c.execute(SLEEP).all()), "statement timeout"
    )
    await database.close()


async def test_wait_for_a_row_has_a_time_limit(
    storage: SqlStorage, postgres_url: str, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    impatient = SqlStorage(database_at(postgres_url, statement_seconds=0.5))
    async with rival.transaction():
        await rival.execute("SELECT * FROM users FOR UPDATE")
        adding = impatient.orders.add(a_placed_order(), owner=ALICE.id)
        await assert_unavailable_within(5, adding, "lock timeout")
    await impatient.close()


async def test_wait_for_a_connection_has_a_time_limit(postgres_url: str) -> None:
    database = database_at(postgres_url, pool_size=1, pool_seconds=0.2)
    began, go_on = asyncio.Event(), asyncio.Event()

    def hold(connection: Connection) -> None:
        began.set()
        await_only(go_on.wait())

    holding = asyncio.create_task(database.read(hold))
    await began.wait()
    await assert_unavailable_within(
        5, database.read(lambda c: c.scalar(ONE)), "every connection of the pool"
    )
    go_on.set()
    await holding
    assert await database.read(lambda c: c.scalar(ONE)) == 1
    await database.close()


async def test_shared_reads_continue_when_every_connection_is_in_use(postgres_url: str) -> None:
    """All requests wait for what has ended; no client's reads hold it up."""
    database = database_at(postgres_url, pool_size=2, pool_seconds=0.5)
    storage = SqlStorage(database)
    go_on = asyncio.Event()
    began = asyncio.Barrier(3)

    def hold(connection: Connection) -> None:
        await_only(began.wait())
        await_only(go_on.wait())

    reads = [asyncio.create_task(database.read(hold, large=True)) for _ in range(2)]
    await began.wait()
    for _ in range(3):
        assert await storage.sessions.ended_since(datetime(2026, 1, 1, tzinfo=UTC)) == {}
    await assert_unavailable_within(
        5, database.read(lambda c: c.scalar(ONE)), "every connection of the pool"
    )
    go_on.set()
    await asyncio.gather(*reads)
    await storage.close()


async def test_waiting_writes_leave_connections_to_reads(postgres_url: str) -> None:
    database = database_at(postgres_url, pool_size=4, pool_seconds=0.5)
    storage = SqlStorage(database)
    await storage.loader.load([ALICE], [a_placed_order(7)])
    blocking = await asyncpg.connect(postgres_url)
    async with blocking.transaction():
        await blocking.execute("SELECT 1 FROM users WHERE id = 1 FOR UPDATE")
        writes = [
            asyncio.create_task(
                storage.orders.update(OrderId(7), owner=ALICE.id, change=lambda o: o)
            )
            for _ in range(8)
        ]
        for _ in range(20):
            async with asyncio.timeout(0.4):
                assert await storage.orders.get_owned(OrderId(7), owner=ALICE.id) == a_placed_order(
                    7
                )
        refused = [write for write in writes[2:] if await _refusal(write)]
        assert len(refused) == 6
    assert await asyncio.gather(*writes[:2]) == [a_placed_order(7)] * 2
    await blocking.close()
    await storage.close()


def have_same_items(order: Order) -> Order:
    return order


async def _refusal(write: "asyncio.Task[object]") -> bool:
    with pytest.raises(StorageUnavailable, match="too many writes are waiting"):
        await write
    return True


async def test_silent_network_is_detected(wire: PostgresProxy) -> None:
    database = database_at(wire.url, statement_seconds=0.3)
    assert await database.read(lambda c: c.scalar(ONE)) == 1
    wire.silent = True
    await assert_unavailable_within(10, database.read(lambda c: c.scalar(ONE)), "no answer in time")
    wire.silent = False
    assert await database.read(lambda c: c.scalar(ONE)) == 1
    await database.close()


async def test_cancelled_callers_leave_no_connection(postgres_url: str) -> None:
    database = database_at(postgres_url, pool_size=4, pool_seconds=1)
    for run, most in ((database.read, 4), (database.write, 2)):
        given_up = [asyncio.create_task(run(lambda c: c.execute(SLEEP).all())) for _ in range(6)]
        await eventually(partial(_in_use, database, most))
        for task in given_up:
            task.cancel()
        await asyncio.wait(given_up)
        assert all(task.cancelled() for task in given_up)
        assert await _in_use(database, 0)
        assert await database.read(lambda c: c.scalar(ONE)) == 1
    await database.close()


async def _in_use(database: PostgresDatabase, connections: int) -> bool:
    pool = database._engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    return pool.checkedout() == connections


# Messages


async def test_error_does_not_contain_the_values(storage: SqlStorage, postgres_url: str) -> None:
    with pytest.raises(StorageUnavailable, match=r"a value that it cannot store") as refusal:
        await storage.users.add(Username("bob"), PasswordHash("the-hash\0"))
    assert "the-hash" not in f"{refusal.value}{refusal.value.__cause__}"
    await execute(postgres_url, "ALTER TABLE users RENAME TO others")
    with pytest.raises(StorageUnavailable, match='"users" does not exist') as refusal:
        await storage.users.add(Username("bob"), PasswordHash("the-hash"))
    assert "the-hash" not in f"{refusal.value}{refusal.value.__cause__}"
    assert "INSERT" not in f"{refusal.value}{refusal.value.__cause__}"


async def test_messages_do_not_contain_the_password(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    url = parts._replace(netloc=parts.netloc.replace(parts.password or "", "wr0ng")).geturl()
    with pytest.raises(StorageUnavailable, match="28P01") as refusal:
        await SqlStorage(database_at(url)).open()
    assert "wr0ng" not in f"{refusal.value}{refusal.value.__cause__}"


async def test_missing_certificate_is_reported(postgres_url: str) -> None:
    url = f"{postgres_url}?sslmode=verify-full&sslrootcert=/not/there.pem"
    with pytest.raises(StorageUnavailable, match="No such file"):
        await SqlStorage(database_at(url)).open()


async def test_missing_server_is_unavailable_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    storage = SqlStorage(database_at(f"postgresql://a:b@127.0.0.1:{port}/c"))
    for attempt in (storage.open, storage.ping, storage.migrate):
        await assert_unavailable_within(5, attempt(), "refused|reached")


# Values


async def test_first_and_last_times_are_read_unchanged(storage: SqlStorage) -> None:
    times = [
        datetime.min.replace(tzinfo=UTC),
        datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ]
    orders = [a_placed_order(1 + number, at) for number, at in enumerate(times)]
    for order in orders:
        await storage.orders.add(order, owner=ALICE.id)
    assert await storage.orders.list_owned(OrderQuery(limit=9), owner=ALICE.id) == orders[::-1]


# Servers that end


@pytest.fixture
def server(postgres_binaries: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(postgres_binaries, durable=True)
    try:
        server.init()
        server.start()
        yield server
    finally:
        server.remove()


async def test_server_is_used_again_when_it_restarts(server: PostgresServer) -> None:
    storage = SqlStorage(database_at(server.url()))
    await storage.migrate()
    await storage.loader.load([ALICE], [a_placed_order(1)])
    await storage.orders.add(a_placed_order(2), owner=ALICE.id)
    await asyncio.gather(*(storage.ping() for _ in range(10)))
    await asyncio.to_thread(server.kill)
    await assert_unavailable_within(10, storage.ping(), "PostgreSQL: ")
    await asyncio.to_thread(server.start)
    assert await storage.orders.list_owned(OrderQuery(limit=9), owner=ALICE.id) == [
        a_placed_order(2),
        a_placed_order(1),
    ]
    await storage.close()


async def test_failover_is_followed(server: PostgresServer) -> None:
    standby = await asyncio.to_thread(server.standby)
    try:
        await asyncio.to_thread(standby.start)
        hosts = f"127.0.0.1:{standby.port},127.0.0.1:{server.port}"
        url = server.url().replace(f"127.0.0.1:{server.port}", hosts)
        storage = SqlStorage(database_at(f"{url}?target_session_attrs=read-write"))
        await storage.migrate()
        await storage.loader.load([ALICE], [])
        await storage.orders.add(a_placed_order(1), owner=ALICE.id)
        replica = SqlStorage(database_at(standby.url()))
        await eventually(lambda: _found(replica, 1))
        await replica.close()
        await asyncio.to_thread(server.kill)
        await assert_unavailable_within(
            10, storage.orders.add(a_placed_order(2), owner=ALICE.id), "PostgreSQL: "
        )
        await execute(standby.url(), "SELECT pg_promote()")
        assert await storage.orders.add(a_placed_order(2), owner=ALICE.id) == a_placed_order(2)
        assert await storage.orders.list_owned(OrderQuery(limit=9), owner=ALICE.id) == [
            a_placed_order(2),
            a_placed_order(1),
        ]
        await storage.close()
    finally:
        standby.remove()


async def _found(storage: SqlStorage, order_id: int) -> bool:
    with suppress(StorageUnavailable):
        return await storage.orders.get_owned(OrderId(order_id), owner=ALICE.id) is not None
    return False


@pytest.fixture
def silent_first(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return a URL of two hosts: the first takes connections and says nothing, the other is fit."""
    monkeypatch.setattr(postgres_hosts, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        parts = urlsplit(postgres_url)
        account, _, fit = parts.netloc.rpartition("@")
        yield parts._replace(netloc=f"{account}@{host},{fit}").geturl()


async def test_silent_host_is_skipped(silent_first: str) -> None:
    storage = SqlStorage(database_at(silent_first))
    await storage.open()
    await storage.close()


async def test_silent_host_is_skipped_by_parallel_connections(
    silent_first: str,
) -> None:
    database = database_at(silent_first)
    reads = [database.read(lambda c: c.scalar(ONE)) for _ in range(10)]
    began = time.monotonic()
    assert await asyncio.gather(*reads) == [1] * 10
    assert time.monotonic() - began < 2 * postgres_hosts.CONNECT_SECONDS
    assert database._hosts.first == split_hosts(silent_first)[1]
    await database.close()
