"""Connections to PostgreSQL that are lost during work."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import asyncpg
import httpx2
import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.util import await_only

from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import OutcomeUnknown, StorageUnavailable
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.application.ports.sessions import RotationOutcome
from ordergate.domain.order import OrderStatus
from ordergate.domain.user import PasswordHash, User, Username
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.contracts.orders.orders_contract import cancel
from tests.support.api.http_client import problem, sign_in
from tests.support.builders import ALICE, AT, TEAPOT, a_placed_order, a_session, digest
from tests.support.databases.postgres import database_at, execute
from tests.support.databases.postgres_waits import ONE, SLEEP, eventually
from tests.support.doubles import InstantPasswordHasher
from tests.support.program.command import PASSWORD
from tests.support.proxies.lossy_proxy import LossyProxy
from tests.support.storage.storage_calls import rotate_token, rotation_outcome, start_session


def end_backend(connection: Connection, url: str) -> None:
    """End the server's side of a connection; wait until the client notices."""
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


async def test_order_is_placed_once_when_its_statement_is_not_answered(
    wired: SqlStorage, wire: LossyProxy, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    for number, key in enumerate((None, IdempotencyKey("a wish", AT + timedelta(days=1)))):
        wire.losing_answers_to = TEAPOT.sku.encode()  # a value of the statement
        order = a_placed_order(11 + number)
        assert await wired.orders.add(order, owner=ALICE.id, key=key) == order
    assert wire.lost == 2
    assert await rival.fetchval("SELECT count(*) FROM orders") == 2


async def test_other_write_is_of_unknown_outcome_when_its_commit_is_not_answered(
    wired: SqlStorage, wire: LossyProxy
) -> None:
    wire.losing_answers_to = b"COMMIT;"
    with pytest.raises(OutcomeUnknown, match="the change may or may not be stored"):
        await wired.users.add(Username("bob"), PasswordHash("h"))
    assert await wired.users.find(Username("bob")) is not None


async def test_session_is_of_unknown_outcome_when_its_statement_is_not_answered(
    wired: SqlStorage, wire: LossyProxy, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    wire.losing_answers_to = digest(1)  # a value of the statement
    with pytest.raises(OutcomeUnknown, match="the change may or may not be stored"):
        await start_session(wired, a_session(1), 1)
    wire.losing_answers_to = digest(2)
    with pytest.raises(OutcomeUnknown, match="the change may or may not be stored"):
        await rotate_token(wired, 1, 2)
    assert wire.lost == 2
    assert await rotation_outcome(wired, 1, 3, AT) is RotationOutcome.REPLAYED
    assert await rival.fetchval("SELECT count(*) FROM sessions") == 1


async def test_cancel_reports_an_unknown_outcome_when_its_update_is_not_answered(
    wired: SqlStorage, wire: LossyProxy
) -> None:
    container = Container(
        settings=Settings(signing_secret="a secret of more than thirty-two bytes"),
        storage=wired,
        hasher=InstantPasswordHasher(),
    )
    transport = httpx2.ASGITransport(create_app(container))
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        await client.post("/users", json={"username": "user1", "password": PASSWORD})
        user = await sign_in(client)
        line = {"sku": "POT", "name": "Teapot", "quantity": 1, "unit_price": "64.00"}
        order = {"currency": "EUR", "lines": [line]}
        placed = await client.post("/orders", headers=user, json=order)
        wire.losing_answers_to = b"cancelled"  # a value of the statement
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
    wired: SqlStorage, wire: LossyProxy, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    wire.losing_answers_to, wire.gone_once_lost = TEAPOT.sku.encode(), True
    with pytest.raises(OutcomeUnknown, match="the change may or may not be stored"):
        await wired.orders.add(a_placed_order(), owner=ALICE.id)
    assert await rival.fetchval("SELECT count(*) FROM orders") == 1


@pytest.mark.parametrize("key", [None, IdempotencyKey("a wish", AT + timedelta(days=1))])
async def test_order_is_of_unknown_outcome_when_the_server_goes_before_the_transaction(
    wire: LossyProxy, rival: "asyncpg.Connection[asyncpg.Record]", key: IdempotencyKey | None
) -> None:
    """The repeated statement changes nothing, and the transaction would find the order."""
    database = database_at(wire.url, statement_seconds=1)
    storage = SqlStorage(database)
    await storage.loader.load([ALICE], [])

    def silence(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            wire.silent = True

    event.listen(database._engine.sync_engine, "begin", silence)
    wire.losing_answers_to = TEAPOT.sku.encode()
    with pytest.raises(OutcomeUnknown):
        await storage.orders.add(a_placed_order(), owner=ALICE.id, key=key)
    assert wire.silent
    assert await rival.fetchval("SELECT count(*) FROM orders") == 1
    await database.close()


async def test_change_is_of_unknown_outcome_when_its_connection_goes_silent(
    wire: LossyProxy,
) -> None:
    storage = SqlStorage(database_at(wire.url, statement_seconds=1))
    await storage.loader.load([ALICE], [a_placed_order()])
    wire.losing_answers_to, wire.silent_once_lost = b"cancelled", True
    with pytest.raises(OutcomeUnknown, match="no answer in time, and the change may or may not"):
        await storage.orders.update(a_placed_order().id, owner=ALICE.id, change=cancel)
    found = await storage.orders.get_owned(a_placed_order().id, owner=ALICE.id)
    assert found is not None
    assert found.status == OrderStatus.CANCELLED
    await storage.close()


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
