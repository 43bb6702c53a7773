"""Connections that were idle for long, or were dropped silently."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import text

from ordergate.adapters.sql.postgres.connecting.connection import PostgresConnection
from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.server import pool as server_pool
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import OutcomeUnknown, StorageUnavailable
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.domain.order import OrderId
from ordergate.domain.user import PasswordHash, Username
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.builders import ALICE, AT, a_placed_order
from tests.support.databases.postgres import database_at
from tests.support.doubles import InstantPasswordHasher
from tests.support.proxies.lossy_proxy import LossyProxy

POOL_SIZE = 10
COMMAND_SECONDS = 2.5
PID = text("SELECT pg_backend_pid()")


@pytest.fixture
async def wire(postgres_url: str) -> AsyncIterator[LossyProxy]:
    async with LossyProxy(postgres_url).running() as wire:
        yield wire


async def fill_pool(database: PostgresDatabase) -> set[int]:
    """Open all connections of the pool, and return their backends."""
    backends: set[int] = set()
    seconds = 0.1
    while len(backends) < POOL_SIZE:  # a busy machine may end a read before the last one connects
        backends = set(await asyncio.gather(*(sleep(database, seconds) for _ in range(POOL_SIZE))))
        seconds *= 2
    return backends


async def sleep(database: PostgresDatabase, seconds: float) -> int:
    query = text(f"SELECT pg_backend_pid() FROM pg_sleep({seconds})")
    found: int = await database.read(lambda connection: connection.scalar(query))
    return found


async def pid(database: PostgresDatabase) -> int:
    found: int = await database.read(lambda c: c.scalar(PID))
    return found


async def test_connection_is_not_used_when_it_was_idle_for_too_long(wire: LossyProxy) -> None:
    database = database_at(wire.url, idle_seconds=0)
    storage = SqlStorage(database)
    await fill_pool(database)
    wire.forget_connections()
    began = time.monotonic()
    await asyncio.gather(*(storage.ping() for _ in range(2 * POOL_SIZE)))
    for _ in range(2 * POOL_SIZE):
        await storage.ping()
    assert time.monotonic() - began < COMMAND_SECONDS
    await database.close()


async def test_connection_is_used_again_when_it_was_idle_for_less(postgres_url: str) -> None:
    database = database_at(postgres_url)
    backends = await fill_pool(database)
    assert {await pid(database) for _ in range(2 * POOL_SIZE)} < backends
    await database.close()


async def test_connection_is_shared_when_requests_follow_each_other(postgres_url: str) -> None:
    database = database_at(postgres_url)
    await fill_pool(database)
    assert len({await pid(database) for _ in range(2 * POOL_SIZE)}) == 1
    await database.close()


async def test_connection_is_replaced_when_it_is_too_old(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = database_at(postgres_url)
    first = await pid(database)
    monkeypatch.setattr(server_pool, "MAX_AGE_SECONDS", 0)
    assert await pid(database) != first
    await database.close()


Work = Callable[[SqlStorage], Awaitable[object]]
WORK: dict[str, Work] = {
    "readiness": lambda s: s.ping(),
    "an own order": lambda s: s.orders.get_owned(OrderId(1), owner=ALICE.id),
    "an order with a key": lambda s: s.orders.add(
        a_placed_order(11), owner=ALICE.id, key=IdempotencyKey("a wish", AT + timedelta(days=1))
    ),
    "an order without a key": lambda s: s.orders.add(a_placed_order(12), owner=ALICE.id),
    "an account": lambda s: s.users.add(Username("bob"), PasswordHash("h")),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
async def test_work_is_retried_once_when_a_connection_has_gone_silent(
    wire: LossyProxy, work: Work
) -> None:
    database = database_at(wire.url, statement_seconds=COMMAND_SECONDS - 1)
    storage = SqlStorage(database)
    await storage.loader.load([ALICE], [a_placed_order(1)])
    await fill_pool(database)
    wire.forget_connections()
    began = time.monotonic()
    await work(storage)
    assert COMMAND_SECONDS <= time.monotonic() - began < 2 * COMMAND_SECONDS
    assert database.count_work().repetitions == 1
    began = time.monotonic()
    for _ in range(POOL_SIZE):  # one silent connection is reason enough to replace all
        await storage.ping()
    assert time.monotonic() - began < COMMAND_SECONDS
    await database.close()


async def test_work_is_not_retried_twice_when_the_new_connection_is_silent(
    wire: LossyProxy,
) -> None:
    database = database_at(wire.url, statement_seconds=COMMAND_SECONDS - 1)
    await fill_pool(database)
    wire.silent = True
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="no answer in time"):
        await SqlStorage(database).ping()
    assert time.monotonic() - began < 3 * COMMAND_SECONDS + 3
    await database.close()


async def test_order_is_of_unknown_outcome_when_the_new_connection_is_silent_too(
    wire: LossyProxy,
) -> None:
    database = database_at(wire.url, statement_seconds=COMMAND_SECONDS - 1)
    storage = SqlStorage(database)
    await storage.loader.load([ALICE], [])
    wire.silent = True
    with pytest.raises(OutcomeUnknown, match="the change may or may not be stored"):
        await storage.orders.add(a_placed_order(), owner=ALICE.id)
    await database.close()


async def test_readiness_is_answered_when_every_connection_has_gone_silent(
    wire: LossyProxy,
) -> None:
    database = database_at(wire.url, statement_seconds=COMMAND_SECONDS - 1)
    container = Container(
        settings=Settings(signing_secret="a secret of more than thirty-two bytes"),
        storage=SqlStorage(database),
        hasher=InstantPasswordHasher(),
    )
    transport = httpx2.ASGITransport(create_app(container))
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        await fill_pool(database)
        wire.forget_connections()
        answers = await asyncio.gather(*(client.get("/readyz") for _ in range(POOL_SIZE)))
        assert [answer.status_code for answer in answers] == [200] * POOL_SIZE
    await database.close()


async def test_system_probes_connections_that_are_idle(postgres_url: str) -> None:
    database = database_at(postgres_url, statement_seconds=5)

    async with database._reads.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, PostgresConnection)
        option = driver.socket.getsockopt
        assert option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert option(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5
        assert option(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
        if sys.platform == "linux":
            assert option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
            assert option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 6_000
    await database.close()
