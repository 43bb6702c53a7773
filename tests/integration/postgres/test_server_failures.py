"""PostgreSQL servers that end, fail over or do not answer."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ordergate.adapters.sql.postgres.connecting.url import DatabaseUrl
from ordergate.adapters.sql.server import hosts as server_hosts
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.orders import OrderQuery
from ordergate.domain.order import OrderId
from tests.support.builders import ALICE, a_placed_order
from tests.support.databases.postgres import PostgresServer, database_at, execute
from tests.support.databases.postgres_waits import ONE, assert_unavailable_within, eventually


@pytest.fixture
def server(postgres_binaries: Path) -> Iterator[PostgresServer]:
    with PostgresServer(postgres_binaries, durable=True).running() as server:
        yield server


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
    """Return a URL of a silent host and a working one."""
    monkeypatch.setattr(server_hosts, "CONNECT_SECONDS", 0.5)
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
    assert time.monotonic() - began < 2 * server_hosts.CONNECT_SECONDS
    assert database._hosts.first == DatabaseUrl.read(silent_first).split()[1]
    await database.close()
