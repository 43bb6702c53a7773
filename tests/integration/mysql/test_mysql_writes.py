"""Locks and failures of writes that are one statement."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncmy.constants.CLIENT import MULTI_STATEMENTS
from asyncmy.errors import MySQLError, OperationalError, ProgrammingError
from sqlalchemy import bindparam, insert, text
from sqlalchemy.exc import IntegrityError

from ordergate.adapters.sql.mysql.connection import MysqlConnection
from ordergate.adapters.sql.mysql.connection import connect as connect_own
from ordergate.adapters.sql.mysql.writes.block import Block
from ordergate.adapters.sql.server.errors import AmbiguousCommitError
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.tables import UserRow
from ordergate.application.errors import OutcomeUnknown
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.application.ports.sessions import RotationOutcome
from ordergate.domain.order import OrderStatus
from tests.contracts.orders.orders_contract import cancel
from tests.support.builders import ADDRESS, ALICE, AT, SEALED, TEAPOT, a_placed_order, a_session
from tests.support.databases.mariadb import connect, database_at, fetch
from tests.support.proxies.lossy_proxy import LossyProxy
from tests.support.storage.storage_calls import rotate_token, rotation_outcome, start_session

NEW_USER = insert(UserRow).values(username=bindparam("name"), password_hash="h")
SIGNAL = "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {}, MESSAGE_TEXT = 'failed by a test';"


@pytest.fixture
async def session(mariadb_url: str) -> AsyncIterator[MysqlConnection]:
    connection = await connect_own(mariadb_url, seconds=10, statement_seconds=10)
    yield connection
    await connection.disconnect()


async def in_transaction(session: MysqlConnection) -> bool:
    ((answer,),) = await session.run("SELECT @@in_transaction", ())
    return bool(answer)


async def test_second_statement_in_a_message_is_refused(session: MysqlConnection) -> None:
    assert not session._client_flag & MULTI_STATEMENTS
    with pytest.raises(ProgrammingError, match="1064"):
        await session.run("SELECT 1; SELECT 2", ())


async def test_value_is_no_part_of_a_block(session: MysqlConnection) -> None:
    block = Block("START TRANSACTION;", NEW_USER, "; COMMIT;")
    for name in ("'; DROP TABLE orders; --", "\\", "%s ? \\' ''", "\x00\U0001f600"):
        await block.run(session, {"name": name})
        ((found,),) = await session.run("SELECT username FROM users ORDER BY id DESC LIMIT 1", ())
        assert found == name


@pytest.mark.parametrize("code", [1205, 1213, 1969, 1180, 1317])
async def test_failed_block_is_rolled_back(session: MysqlConnection, code: int) -> None:
    block = Block("START TRANSACTION;", NEW_USER, ";", SIGNAL.format(code))
    with pytest.raises(MySQLError, match=str(code)):
        await block.run(session, {"name": "bob"})
    assert not await in_transaction(session)
    assert await session.run("SELECT * FROM users", ()) == ()


async def test_violated_constraints_are_integrity_errors(session: MysqlConnection) -> None:
    twice = Block("START TRANSACTION;", NEW_USER, ";", NEW_USER, "; COMMIT;")
    check = "INSERT INTO orders VALUES (1, 0, 'placed', NOW(), 'EUR', 1);"
    for block in (twice, Block("START TRANSACTION;", NEW_USER, ";", check)):
        with pytest.raises(IntegrityError):
            await block.run(session, {"name": "bob"})
        assert not await in_transaction(session)


@pytest.mark.parametrize("code", [1180, 1317, 1969])
async def test_block_that_was_interrupted_after_its_transaction_may_be_committed(
    session: MysqlConnection, code: int
) -> None:
    block = Block("START TRANSACTION;", NEW_USER, "; COMMIT;", SIGNAL.format(code))
    with pytest.raises(AmbiguousCommitError):
        await block.run(session, {"name": "bob"})


async def test_block_has_the_time_limit_of_a_statement(mariadb_url: str) -> None:
    session = await connect_own(mariadb_url, seconds=10, statement_seconds=0.5)
    block = Block("START TRANSACTION;", NEW_USER, "; SELECT * FROM users, (SELECT SLEEP(60)) AS s;")
    with pytest.raises(OperationalError, match="1969"):
        await block.run(session, {"name": "bob"})
    assert await session.run("SELECT * FROM users", ()) == ()
    await session.disconnect()


# Locks


SHARED = "SELECT * FROM users LOCK IN SHARE MODE"
BLOCKED = """
    SELECT count(*) FROM information_schema.innodb_trx
    JOIN information_schema.processlist ON id = trx_mysql_thread_id
    WHERE trx_state = 'LOCK WAIT' AND db = DATABASE()
"""


@asynccontextmanager
async def holding(url: str, statement: str) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Hold what a statement locks; yields a wait for blocked ones."""
    rival: Any = await connect(url)

    async def wait(number: int) -> None:
        async with asyncio.timeout(60):
            while await fetch(url, BLOCKED) != [(number,)]:
                await asyncio.sleep(0.15)  # the server renews the table after 0.1 s without readers

    async with rival.cursor() as cursor:
        await cursor.execute("BEGIN")
        await cursor.execute(statement)
        yield wait
        await cursor.execute("COMMIT")
    await rival.ensure_closed()


async def test_order_is_refused_while_the_account_closes(
    mariadb_url: str, storage: SqlStorage
) -> None:
    closing = "UPDATE users SET username = ' closed 1', password_hash = ''"
    async with holding(mariadb_url, closing) as until_blocked:
        adding = asyncio.create_task(storage.orders.add(a_placed_order(), owner=ALICE.id))
        await until_blocked(1)
    assert await adding is None
    assert await fetch(mariadb_url, "SELECT count(*) FROM orders") == [(0,)]


async def test_sign_in_is_refused_while_the_password_changes(
    mariadb_url: str, storage: SqlStorage
) -> None:
    async with holding(mariadb_url, "UPDATE users SET password_hash = 'new'") as until_blocked:
        starting = asyncio.create_task(start_session(storage, a_session(1), 1))
        await until_blocked(1)
    with pytest.raises(AssertionError):
        await starting
    assert await fetch(mariadb_url, "SELECT count(*) FROM sessions") == [(0,)]


async def test_change_and_order_lock_the_owner_alone(mariadb_url: str, storage: SqlStorage) -> None:
    await storage.orders.add(a_placed_order(1), owner=ALICE.id)
    for write in (
        storage.orders.add(a_placed_order(2), owner=ALICE.id),
        storage.orders.update(a_placed_order(1).id, owner=ALICE.id, change=cancel),
    ):
        async with holding(mariadb_url, SHARED) as until_blocked:
            writing = asyncio.create_task(write)
            await until_blocked(1)
        assert await writing


async def test_sign_ins_of_a_user_share_a_lock(mariadb_url: str, storage: SqlStorage) -> None:
    async with holding(mariadb_url, SHARED):
        await start_session(storage, a_session(1), 1)


async def test_rotations_wait_for_each_other(mariadb_url: str, storage: SqlStorage) -> None:
    """With shared locks, one would end by a deadlock and be repeated."""
    await start_session(storage, a_session(1), 1)
    assert storage.count_work() == (0, 0)
    async with holding(mariadb_url, "SELECT * FROM sessions FOR UPDATE") as until_blocked:
        both = [asyncio.create_task(rotate_token(storage, 1, new)) for new in (2, 3)]
        await until_blocked(2)
    outcomes = sorted([(await each).outcome for each in both])
    assert outcomes == [RotationOutcome.REPLAYED, RotationOutcome.ROTATED]
    work = storage.count_work()
    assert work is not None
    assert work.repetitions == 0


async def test_rotation_is_refused_while_its_session_ends(
    mariadb_url: str, storage: SqlStorage
) -> None:
    await start_session(storage, a_session(1), 1)
    ending = "UPDATE sessions SET ended_at = started_at, ending = 'revoked'"
    async with holding(mariadb_url, ending) as until_blocked:
        rotating = asyncio.create_task(rotate_token(storage, 1, 2))
        await until_blocked(1)
    assert (await rotating).outcome is RotationOutcome.INVALID


# Lost connections


@pytest.mark.parametrize("key", [None, IdempotencyKey("a wish", AT)])
async def test_order_is_placed_once_when_its_statement_is_not_answered(
    mariadb_url: str, wire: LossyProxy, wired: SqlStorage, key: IdempotencyKey | None
) -> None:
    wire.losing_answers_to = TEAPOT.sku.encode()  # a value of the statement
    order = a_placed_order(11)
    assert await wired.orders.add(order, owner=ALICE.id, key=key) == order
    assert wire.lost
    assert await fetch(mariadb_url, "SELECT id FROM orders") == [(11,)]


async def test_other_writes_are_of_unknown_outcome_when_their_statement_is_not_answered(
    wire: LossyProxy, wired: SqlStorage
) -> None:
    await wired.orders.add(a_placed_order(1), owner=ALICE.id)
    unknown = "MariaDB: .*the change may or may not be stored"
    wire.losing_answers_to = ADDRESS.encode()  # a value of the statement
    with pytest.raises(OutcomeUnknown, match=unknown):
        await start_session(wired, a_session(1), 1)
    wire.losing_answers_to = SEALED
    with pytest.raises(OutcomeUnknown, match=unknown):
        await rotate_token(wired, 1, 2)
    wire.losing_answers_to = b"cancelled"
    with pytest.raises(OutcomeUnknown, match=unknown):
        await wired.orders.update(a_placed_order(1).id, owner=ALICE.id, change=cancel)
    assert wire.lost == 3
    assert await rotation_outcome(wired, 1, 3, AT) is RotationOutcome.REPLAYED
    found = await wired.orders.get_owned(a_placed_order(1).id, owner=ALICE.id)
    assert found is not None
    assert found.status == OrderStatus.CANCELLED


async def test_change_is_of_unknown_outcome_when_its_connection_goes_silent(
    wire: LossyProxy,
) -> None:
    storage = SqlStorage(database_at(wire.url, statement_seconds=1))
    await storage.loader.load([ALICE], [a_placed_order()])
    wire.losing_answers_to, wire.silent_once_lost = b"cancelled", True
    with pytest.raises(OutcomeUnknown, match="no answer in time, and the change may or may not"):
        await storage.orders.update(a_placed_order().id, owner=ALICE.id, change=cancel)
    await storage.close()


async def test_cancelled_write_leaves_no_transaction(
    mariadb_url: str,
) -> None:
    database = database_at(mariadb_url, pool_size=1)
    storage = SqlStorage(database)
    await storage.loader.load([ALICE], [])
    async with holding(mariadb_url, "SELECT * FROM users FOR UPDATE") as until_blocked:
        adding = asyncio.create_task(storage.orders.add(a_placed_order(), owner=ALICE.id))
        await until_blocked(1)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
    assert await database.read(lambda c: c.scalar(text("SELECT @@in_transaction"))) == 0
    await storage.close()
