"""Time limits of statements, locks and connections."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from itertools import islice

import asyncpg
import pytest
from sqlalchemy import Connection
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only

from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.storage import ConnectionLoad
from ordergate.domain.order import Order, OrderId
from tests.support.builders import ALICE, a_placed_order
from tests.support.databases.postgres import database_at
from tests.support.databases.postgres_waits import (
    ONE,
    SLEEP,
    assert_unavailable_within,
    eventually,
    wait_for_blocked_lock,
)
from tests.support.proxies.lossy_proxy import LossyProxy


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
    """Requests wait for ended sessions, and no client's reads delay them."""
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


async def test_connection_beyond_the_pool_is_closed_after_a_read(
    postgres_url: str,
    rival: "asyncpg.Connection[asyncpg.Record]",
    caplog: pytest.LogCaptureFixture,
) -> None:
    database = database_at(postgres_url, pool_size=1)
    storage = SqlStorage(database)
    both = "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = current_database()"
    async with rival.transaction():
        await rival.execute("LOCK TABLE orders")
        reading = asyncio.create_task(storage.orders.get_owned(OrderId(7), owner=ALICE.id))
        await wait_for_blocked_lock(rival)
        # This needs a second connection, and returns it to the pool first.
        assert await storage.sessions.ended_since(datetime(2026, 1, 1, tzinfo=UTC)) == {}
    assert await reading is None
    await eventually(lambda: rival.fetchval(both))  # the connection of the pool, and the rival's
    assert [line for line in caplog.records if line.levelname == "ERROR"] == []
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
        for refused in islice(asyncio.as_completed(writes), 6):
            with pytest.raises(StorageUnavailable, match="too many writes are waiting"):
                await refused
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [each for each in results if isinstance(each, Order)] == [a_placed_order(7)] * 2
    await blocking.close()
    await storage.close()


async def counted(database: PostgresDatabase, in_use: int, waiting: int, writes: int) -> None:
    """Wait for a load of the database."""
    async with asyncio.timeout(30):
        while database.count_connections()[1:] != (in_use, waiting, writes):
            await asyncio.sleep(0.01)


async def test_connections_in_use_and_waiting_jobs_are_counted(postgres_url: str) -> None:
    database = database_at(postgres_url, pool_size=1, pool_seconds=60)
    go_on = asyncio.Event()
    holding = asyncio.create_task(database.read(lambda _: await_only(go_on.wait())))
    await counted(database, 1, 0, 0)
    waiting = asyncio.create_task(database.read(lambda c: c.scalar(ONE)))
    await counted(database, 1, 1, 0)
    writes = [asyncio.create_task(database.write(lambda c: c.scalar(ONE))) for _ in range(3)]
    await counted(database, 1, 2, 2)  # one write at a time waits for the connection
    go_on.set()
    assert [await holding, await waiting] == [True, 1]
    assert await asyncio.gather(*writes) == [1, 1, 1]
    free = ConnectionLoad(limit=1, in_use=0, waiting=0, writes_waiting=0)
    assert database.count_connections() == free
    assert SqlStorage(database).count_connections() == free
    await database.close()


async def test_writes_are_counted_while_they_wait_for_others(postgres_url: str) -> None:
    database = database_at(postgres_url, pool_size=4, pool_seconds=60)
    go_on = asyncio.Event()
    writes = [
        asyncio.create_task(database.write(lambda _: await_only(go_on.wait()))) for _ in range(5)
    ]
    await counted(database, 2, 0, 3)  # two connections are free, for reads
    writes.pop().cancel()
    await counted(database, 2, 0, 2)
    go_on.set()
    await asyncio.gather(*writes)
    assert database.count_connections() == (4, 0, 0, 0)
    await database.close()


async def test_silent_network_is_detected(wire: LossyProxy) -> None:
    database = database_at(wire.url, statement_seconds=0.3)
    assert await database.read(lambda c: c.scalar(ONE)) == 1
    wire.silent = True
    await assert_unavailable_within(10, database.read(lambda c: c.scalar(ONE)), "no answer in time")
    wire.silent = False
    assert await database.read(lambda c: c.scalar(ONE)) == 1
    await database.close()


async def test_cancelled_callers_leave_no_connection(
    postgres_url: str, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    sleeping = (
        "SELECT count(*) = $1 FROM pg_stat_activity"
        " WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' AND datname = current_database()"
    )
    database = database_at(postgres_url, pool_size=4, pool_seconds=1)
    for run, most in ((database.read, 4), (database.write, 2)):
        given_up = [asyncio.create_task(run(lambda c: c.execute(SLEEP).all())) for _ in range(6)]
        await eventually(partial(rival.fetchval, sleeping, most))
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
