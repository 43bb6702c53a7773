"""The group commit of the SQLite writer."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite import writer as sqlite_writer
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.errors import StorageUnavailable
from tests.support.storage.sqlite_writer import HeldWriter, insert_user, names_in, outcomes


async def test_waiting_writes_are_committed_together(database: SqliteDatabase, file: Path) -> None:
    names = [f"user{i}" for i in range(50)]
    async with HeldWriter(database) as writer:
        tasks = await writer.queue(*map(insert_user, names))
        waiting = database.count_commits().waiting
    assert await outcomes(tasks) == names
    assert writer.commits == 1
    commits = SqlStorage(database).count_commits()
    assert commits is not None
    sizes = {size: number for size, number in enumerate(commits.sizes) if number}
    assert (waiting, sizes, commits.waiting) == (50, {51: 1}, 0)  # the held write is the first
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
    """The name may be taken by unstored work of the same group."""
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
