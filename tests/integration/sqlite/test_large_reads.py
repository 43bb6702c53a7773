"""Large reads on SQLite do not delay others."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.orders import OrderQuery
from ordergate.domain.order import MAX_LINES, Order
from tests.support.builders import ALICE, TEAPOT, an_order
from tests.support.program.command import SECONDS


@pytest.fixture
async def full(file: Path) -> AsyncIterator[SqlStorage]:
    """Return a storage with the largest page that can be asked for."""
    storage = SqlStorage(SqliteDatabase(file))
    await storage.migrate()
    await storage.open()
    orders = [replace(an_order(i), lines=(TEAPOT,) * MAX_LINES) for i in range(1, 201)]
    await storage.loader.load([ALICE], orders)
    yield storage
    await storage.close()


async def read_page(storage: SqlStorage) -> None:
    assert len(await storage.orders.list_owned(OrderQuery(limit=200), owner=ALICE.id)) == 200


async def read_archive(storage: SqlStorage) -> None:
    records, _ = await storage.archive.read(Order, limit=200)
    assert len(records) == 200


@pytest.mark.parametrize("read", [read_page, read_archive])
async def test_point_reads_continue_during_a_large_read(
    full: SqlStorage, read: Callable[[SqlStorage], Coroutine[Any, Any, None]]
) -> None:
    gc.collect()
    gc.freeze()  # all that the other tests have made would be looked through meanwhile
    reading = asyncio.create_task(read(full))
    gaps: list[float] = []
    while not reading.done():
        began = time.monotonic()
        await full.get_secret()
        await asyncio.sleep(0.001)  # not to keep the other thread from its work
        gaps.append(time.monotonic() - began)
    gc.unfreeze()
    await reading
    assert len(gaps) > 5
    assert max(gaps) < 0.1


async def test_shared_reads_continue_during_large_reads(full: SqlStorage) -> None:
    """Requests wait for ended sessions, and no client's pages delay them."""
    go_on = threading.Event()

    def hold(connection: Connection) -> None:
        assert connection.execute(text("SELECT 1")).all()
        assert go_on.wait(SECONDS)

    reads = [asyncio.create_task(full._database.read(hold, large=True)) for _ in range(20)]
    await asyncio.sleep(0)
    async with asyncio.timeout(SECONDS / 2):
        assert await full.sessions.ended_since(datetime(2026, 1, 1, tzinfo=UTC)) == {}
    assert not any(each.done() for each in reads)
    go_on.set()
    await asyncio.gather(*reads)


async def test_close_waits_for_a_large_read(full: SqlStorage) -> None:
    reading = asyncio.create_task(read_page(full))
    await asyncio.sleep(0)  # it is asked for
    await full.close()
    await reading


async def test_large_read_opens_the_replacing_file(full: SqlStorage, file: Path) -> None:
    await read_page(full)
    for part in file.parent.iterdir():
        part.unlink()
    with pytest.raises(StorageUnavailable):
        await read_page(full)
    await SqlStorage(SqliteDatabase(file)).migrate()
    assert await full.orders.list_owned(OrderQuery(limit=200), owner=ALICE.id) == []
