"""Writes on SQLite while another process holds the lock."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite import writer as sqlite_writer
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.errors import StorageUnavailable
from ordergate.domain.order import Order, OrderId
from ordergate.domain.user import PasswordHash, UserId, Username
from tests.support.builders import an_order
from tests.support.storage.sqlite import hold_write_lock
from tests.support.storage.sqlite_writer import HeldWriter, insert_user, names_in, outcomes


async def test_write_is_unavailable_when_the_lock_is_held_too_long(
    database: SqliteDatabase, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "BUSY_SECONDS", 0.05)
    with hold_write_lock(file) as other:
        with pytest.raises(StorageUnavailable, match="SQLite: database is locked"):
            await database.write(insert_user("alice"))
        other.execute("COMMIT")
        assert await database.write(insert_user("alice")) == "alice"


async def test_writes_fail_together_when_the_lock_is_held_too_long(
    database: SqliteDatabase, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "BUSY_SECONDS", 0.2)
    with hold_write_lock(file) as other:
        began = time.monotonic()
        tasks = [asyncio.create_task(database.write(insert_user(f"user{i}"))) for i in range(64)]
        assert await outcomes([*tasks]) == [StorageUnavailable] * 64
        assert 0.2 <= time.monotonic() - began < 2
        other.execute("COMMIT")
    assert await database.write(insert_user("alice")) == "alice"
    assert names_in(file) == {"alice"}


async def test_later_write_waits_as_long_as_the_first(
    database: SqliteDatabase, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "BUSY_SECONDS", 0.5)
    with hold_write_lock(file) as other:
        first = asyncio.create_task(database.write(insert_user("alice")))
        await asyncio.wait([first], timeout=0.25)
        later = [
            asyncio.create_task(database.write(insert_user(name))) for name in ("bob", "carol")
        ]
        assert await outcomes([first]) == [StorageUnavailable]
        other.execute("COMMIT")
    assert await outcomes([*later]) == ["bob", "carol"]
    assert names_in(file) == {"bob", "carol"}


async def test_close_waits_for_the_lock_no_longer_than_a_write(
    database: SqliteDatabase, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "BUSY_SECONDS", 0.2)
    with hold_write_lock(file):
        tasks = [asyncio.create_task(database.write(insert_user(f"user{i}"))) for i in range(64)]
        await asyncio.sleep(0)  # each has put its work into the queue
        await asyncio.wait_for(database.close(), 2)
    assert await outcomes([*tasks]) == [StorageUnavailable] * 64


async def test_waiting_writes_are_limited(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "MAX_WAITING", 2)
    async with HeldWriter(database) as writer:
        tasks = await writer.queue(insert_user("alice"), insert_user("bob"))
        with pytest.raises(StorageUnavailable, match=r"^SQLite: 2 writes wait already"):
            await database.write(insert_user("carol"))
    assert await outcomes(tasks) == ["alice", "bob"]


async def test_write_waits_for_that_of_another_process(
    database: SqliteDatabase, file: Path
) -> None:
    with hold_write_lock(file) as other:
        other.execute("INSERT INTO users (username, password_hash) VALUES ('bob', '')")
        writing = asyncio.create_task(database.write(insert_user("alice")))
        await asyncio.sleep(0)
        assert not writing.done()
        other.execute("COMMIT")
        assert await writing == "alice"
    assert names_in(file) == {"alice", "bob"}


async def place(file: Path, numbers: range) -> list[int]:
    """Place orders, 32 in parallel, while the file is reopened five times."""
    stored: list[int] = []
    for part in range(5):
        storage = SqlStorage(SqliteDatabase(file))
        await storage.open()
        waiting = iter(numbers[part::5])

        async def client(storage: SqlStorage, waiting: Iterator[int]) -> None:
            for number in waiting:
                order = an_order(number)
                placed = await storage.orders.add(order, owner=order.owner)
                assert placed == order
                stored.append(number)

        await asyncio.gather(*(client(storage, waiting) for _ in range(32)))
        await storage.close()
    return stored


def place_in_a_process(arguments: tuple[Path, range]) -> list[int]:
    return asyncio.run(place(*arguments))


async def test_parallel_processes_store_every_order(file: Path) -> None:
    storage = SqlStorage(SqliteDatabase(file))
    await storage.migrate()
    owner = await storage.users.add(Username("alice"), PasswordHash("hash"))
    assert owner.id == 1
    await storage.close()
    parts = [range(1, 501), range(1001, 1501)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        stored = pool.map(place_in_a_process, [(file, part) for part in parts], chunksize=1)
    assert [sorted(each) for each in stored] == [list(part) for part in parts]
    await storage.open()
    for number in (number for part in parts for number in part):
        order: Order = an_order(number)
        assert await storage.orders.get_owned(OrderId(number), owner=UserId(1)) == order
    await storage.close()
