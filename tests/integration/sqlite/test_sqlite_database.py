"""The one writer of a SQLite file, alone and beside other processes."""

import asyncio
import gc
import multiprocessing
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast

import pytest
from sqlalchemy import Connection, Select, text
from sqlalchemy.exc import IntegrityError

from ordergate.adapters.sql.repositories.order_statements import OWNED, PAGE
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite import writer as sqlite_writer
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.adapters.sql.sqlite.file import make_private
from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.orders import OrderQuery
from ordergate.domain.order import MAX_LINES, Order, OrderId
from ordergate.domain.user import PasswordHash, UserId, Username
from tests.support.builders import ALICE, TEAPOT, an_order
from tests.support.command import SECONDS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


@pytest.fixture
async def database(file: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(file)
    await SqlStorage(database).migrate()
    yield database
    await database.close()


def insert_user(name: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(
            text("INSERT INTO users (username, password_hash) VALUES (:name, '')"), {"name": name}
        )
        return name

    return work


def names_in(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {name for (name,) in connection.execute("SELECT username FROM users")}


class HeldWriter:
    """A writer that is paused in its first write, and then runs the queued writes."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.statements: list[str] = []
        self._begun = asyncio.Event()
        self._go_on = threading.Event()
        self._first: asyncio.Task[str]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def work(connection: Connection) -> str:
            engine = cast("sqlite3.Connection", connection.connection.dbapi_connection)
            engine.set_trace_callback(self.statements.append)
            loop.call_soon_threadsafe(self._begun.set)
            assert self._go_on.wait(10)
            return "first"

        self._first = asyncio.create_task(self.database.write(work))
        await self._begun.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._go_on.set()
        await asyncio.gather(self._first, return_exceptions=True)

    async def queue(self, *works: Callable[[Connection], object]) -> list[asyncio.Task[object]]:
        tasks = [asyncio.create_task(self._write(work)) for work in works]
        await asyncio.sleep(0)  # each has put its work into the queue
        return tasks

    async def _write(self, work: Callable[[Connection], object]) -> object:
        return await self.database.write(work)

    @property
    def commits(self) -> int:
        return self.statements.count("COMMIT")


async def outcomes(tasks: list[asyncio.Task[object]]) -> list[object]:
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(each) if isinstance(each, BaseException) else each for each in results]


# Reads


async def as_sqlalchemy_does(
    database: SqliteDatabase, query: Select[Any], values: dict[str, Any]
) -> list[tuple[object, ...]]:
    rows = await database.read(lambda connection: connection.execute(query, values).all())
    return sorted(map(tuple, rows))


async def test_prepared_query_reads_the_same_rows_as_sqlalchemy(
    database: SqliteDatabase,
) -> None:
    storage = SqlStorage(database)
    at = datetime(2026, 3, 1, 9, 30, 15, 123456, tzinfo=UTC)
    order = replace(an_order(1), placed_at=at, lines=(TEAPOT,) * 3)
    await storage.loader.load([ALICE], [order])
    page = {"owner": 1, "since": at, "placed_at": at, "id": 2, "limit": 9}
    for query, values in ((OWNED, {"owner": 1, "order_id": 1}), (PAGE, page)):
        rows = await database.rows(query, values)
        assert sorted(map(tuple, rows)) == await as_sqlalchemy_does(database, query, values)
        assert len(rows) == 3
    assert await database.rows(OWNED, {"owner": 2, "order_id": 1}) == []


async def test_placed_order_is_stored_as_sqlalchemy_stores_it(tmp_path: Path) -> None:
    at = datetime(2026, 3, 1, 9, 30, 15, 123456, tzinfo=UTC)
    order = replace(an_order(1), placed_at=at, lines=(TEAPOT,) * 3)
    stored = []
    for name, orders in (("placed", []), ("loaded", [order])):
        database = SqliteDatabase(tmp_path / name)
        storage = SqlStorage(database)
        await storage.migrate()
        await storage.loader.load([ALICE], orders)
        if not orders:
            assert await storage.orders.add(order, owner=ALICE.id) == order
        await database.close()
        with closing(sqlite3.connect(tmp_path / name)) as file:
            rows = [
                row
                for query in ("SELECT * FROM orders", "SELECT * FROM order_lines")
                for row in file.execute(query)
            ]
        stored.append([[(type(value), value) for value in row] for row in rows])
    assert stored[0] == stored[1]
    assert len(stored[0]) == 4


async def test_prepared_query_raises_the_engines_error(file: Path) -> None:
    database = SqliteDatabase(file)
    with pytest.raises(StorageUnavailable, match="unable to open"):
        await database.rows(OWNED, {"owner": 1, "order_id": 1})
    make_private(file)
    with pytest.raises(StorageUnavailable, match="no such table"):
        await database.rows(OWNED, {"owner": 1, "order_id": 1})
    await database.close()


# Groups


async def test_waiting_writes_are_committed_together(database: SqliteDatabase, file: Path) -> None:
    names = [f"user{i}" for i in range(50)]
    async with HeldWriter(database) as writer:
        tasks = await writer.queue(*map(insert_user, names))
    assert await outcomes(tasks) == names
    assert writer.commits == 1
    assert names_in(file) == set(names)


async def test_group_of_writes_is_bounded(database: SqliteDatabase) -> None:
    async with HeldWriter(database) as writer:
        tasks = await writer.queue(
            *(insert_user(f"user{i}") for i in range(sqlite_writer.MAX_GROUP))
        )
    await outcomes(tasks)
    assert writer.commits == 2


async def test_writes_run_in_their_order_of_arrival(
    database: SqliteDatabase,
) -> None:
    order: list[int] = []

    def record_turn(i: int) -> Callable[[Connection], None]:
        return lambda _connection: order.append(i)

    async with HeldWriter(database) as writer:
        tasks = await writer.queue(*(record_turn(i) for i in range(20)))
    await outcomes(tasks)
    assert order == list(range(20))


async def test_failed_write_is_rolled_back_alone(database: SqliteDatabase, file: Path) -> None:
    def halfway(connection: Connection) -> None:
        insert_user("halfway")(connection)
        raise LookupError

    async with HeldWriter(database) as writer:
        tasks = await writer.queue(
            insert_user("alice"),
            insert_user("alice"),
            halfway,
            insert_user("bob"),
            insert_user("carol"),
        )
    assert await outcomes(tasks) == ["alice", IntegrityError, LookupError, "bob", "carol"]
    assert writer.commits == 1
    assert names_in(file) == {"alice", "bob", "carol"}


async def test_results_are_delivered_after_the_commit(database: SqliteDatabase, file: Path) -> None:
    seen: list[bool] = []

    async def add(name: str) -> None:
        await database.write(insert_user(name))
        seen.append(name in names_in(file))

    await asyncio.gather(*(add(f"user{i}") for i in range(100)))
    assert seen == [True] * 100


async def test_failures_are_delivered_after_the_commit(
    database: SqliteDatabase, file: Path
) -> None:
    """The name may be taken by a work of the same group, which is not stored yet."""
    async with HeldWriter(database) as writer:
        tasks = await writer.queue(insert_user("alice"), insert_user("alice"))
    with pytest.raises(IntegrityError):
        await tasks[1]
    assert names_in(file) == {"alice"}


async def test_failed_commit_fails_every_write(database: SqliteDatabase, file: Path) -> None:
    def orphan(connection: Connection) -> None:
        connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        connection.execute(
            text("INSERT INTO external_subjects (issuer, subject, user_id) VALUES ('i', 's', 99)")
        )

    async with HeldWriter(database) as writer:
        tasks = await writer.queue(
            insert_user("alice"), insert_user("alice"), orphan, insert_user("bob")
        )
    assert await outcomes(tasks) == [StorageUnavailable] * 4
    assert names_in(file) == set()
    assert await database.write(insert_user("alice")) == "alice"
    assert names_in(file) == {"alice"}


async def test_transaction_rolled_back_by_the_engine_fails_every_write(
    database: SqliteDatabase, file: Path
) -> None:
    """As it does by itself when the disk is full."""

    def lose(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("SELECT the_reason")

    async with HeldWriter(database) as writer:
        tasks = await writer.queue(insert_user("alice"), lose, insert_user("bob"))
    with pytest.raises(
        StorageUnavailable, match=r"^SQLite: no such column: the_reason \(.*orders.db\)$"
    ):
        await tasks[0]
    assert await outcomes(tasks) == [StorageUnavailable, StorageUnavailable, "bob"]
    assert names_in(file) == {"bob"}


# Callers


async def test_cancelled_write_is_skipped(database: SqliteDatabase, file: Path) -> None:
    async with HeldWriter(database) as writer:
        tasks = await writer.queue(insert_user("alice"), insert_user("bob"))
        tasks[0].cancel()
        await asyncio.sleep(0)
    assert await outcomes(tasks) == [asyncio.CancelledError, "bob"]
    assert names_in(file) == {"bob"}


async def test_close_waits_for_pending_writes(database: SqliteDatabase, file: Path) -> None:
    async with HeldWriter(database) as writer:
        tasks = await writer.queue(insert_user("alice"), insert_user("bob"))
        closing_ = asyncio.create_task(database.close())
        await asyncio.sleep(0)
        assert not closing_.done()
    await closing_
    assert names_in(file) == {"alice", "bob"}
    assert await outcomes(tasks) == ["alice", "bob"]


def test_writes_work_from_successive_event_loops(file: Path) -> None:
    database = SqliteDatabase(file)
    asyncio.run(SqlStorage(database).migrate())
    assert asyncio.run(database.write(insert_user("alice"))) == "alice"
    assert asyncio.run(database.write(insert_user("bob"))) == "bob"
    asyncio.run(database.close())
    assert names_in(file) == {"alice", "bob"}


# Large reads


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
    """All requests wait for what has ended; no client's pages hold it up."""
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


# Other processes


async def test_write_is_unavailable_when_the_lock_is_held_too_long(
    database: SqliteDatabase, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match="SQLite: database is locked"):
            await database.write(insert_user("alice"))
        other.execute("COMMIT")
        assert await database.write(insert_user("alice")) == "alice"


async def test_writes_fail_together_when_the_lock_is_held_too_long(
    database: SqliteDatabase, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "BUSY_SECONDS", 0.2)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
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
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
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
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
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
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO users (username, password_hash) VALUES ('bob', '')")
        writing = asyncio.create_task(database.write(insert_user("alice")))
        await asyncio.sleep(0)
        assert not writing.done()
        other.execute("COMMIT")
        assert await writing == "alice"
    assert names_in(file) == {"alice", "bob"}


async def place(file: Path, numbers: range) -> list[int]:
    """Place the orders, 32 in parallel, while the file is opened and closed five times."""
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
