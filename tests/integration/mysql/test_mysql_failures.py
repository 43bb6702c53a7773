"""Lost connections, conflicts and errors on MariaDB."""

import asyncio
import time
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from asyncmy.errors import OperationalError
from sqlalchemy import text

from ordergate.adapters.sql.mysql.readiness import find_reason_to_wait
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import OutcomeUnknown, StorageUnavailable, UnstorableValue
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.domain.user import PasswordHash, Username
from tests.support.builders import ALICE, AT, a_placed_order
from tests.support.databases.mariadb import database_at, execute, fetch
from tests.support.proxies.lossy_proxy import LossyProxy
from tests.support.storage.fault_injection import Failure
from tests.support.storage.fault_injection_sql import failing_statements

KEY = IdempotencyKey("a wish", AT + timedelta(days=1))


async def test_other_changes_have_an_unknown_outcome_when_the_answer_to_commit_is_lost(
    wire: LossyProxy, wired: SqlStorage
) -> None:
    wire.losing_answers_to = b"COMMIT"
    with pytest.raises(OutcomeUnknown, match="MariaDB: the connection was lost during COMMIT"):
        await wired.users.add(Username("bob"), PasswordHash("hash"))


async def test_work_is_retried_once_when_a_connection_has_gone_silent(wire: LossyProxy) -> None:
    storage = SqlStorage(database_at(wire.url, statement_seconds=0.3))
    await storage.ping()
    wire.forget_connections()
    await storage.ping()
    wire.silent = True
    with pytest.raises(StorageUnavailable, match="no answer in time"):
        await storage.ping()
    await storage.close()


@pytest.mark.parametrize("code", [1020, 1213, 1412, 1684, 1927, 2006, 2013, 1290, 1047])
async def test_conflicts_and_lost_connections_are_repeated(storage: SqlStorage, code: int) -> None:
    failure = Failure(at=1)
    with failing_statements(failure, OperationalError(code, "failed by a test")):
        assert await storage.orders.add(a_placed_order(2), owner=ALICE.id)
    assert failure.happened


@pytest.mark.parametrize("code", [1205, 1969, 3024, 1021])
async def test_long_waits_and_other_errors_are_not_repeated(storage: SqlStorage, code: int) -> None:
    failure = Failure(at=1)
    with (
        failing_statements(failure, OperationalError(code, "failed by a test")),
        pytest.raises(StorageUnavailable, match=str(code)),
    ):
        await storage.orders.add(a_placed_order(2), owner=ALICE.id)


async def test_statement_and_lock_have_time_limits(mariadb_url: str) -> None:
    database = database_at(mariadb_url, statement_seconds=2)
    storage = SqlStorage(database)
    await storage.loader.load([ALICE], [])
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="1969"):
        await database.read(lambda c: c.scalar(text("SELECT SLEEP(60)")))
    holds = asyncio.create_task(
        execute(mariadb_url, "BEGIN", "SELECT * FROM users FOR UPDATE", "SELECT SLEEP(8)")
    )
    locked = "SELECT count(*) FROM information_schema.processlist WHERE info = 'SELECT SLEEP(8)'"
    while await fetch(mariadb_url, locked) == [(0,)]:
        await asyncio.sleep(0.01)
    with pytest.raises(StorageUnavailable, match="1205"):
        await storage.orders.add(a_placed_order(2), owner=ALICE.id)
    assert time.monotonic() - began < 8
    holds.cancel()
    await storage.close()


async def test_cancelled_work_leaves_no_broken_connection(mariadb_url: str) -> None:
    database = database_at(mariadb_url, pool_size=1)
    work = asyncio.create_task(database.read(lambda c: c.scalar(text("SELECT SLEEP(2)"))))
    running = "SELECT count(*) FROM information_schema.processlist WHERE info = 'SELECT SLEEP(2)'"
    while await fetch(mariadb_url, running) == [(0,)]:
        await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert await database.read(lambda c: c.scalar(text("SELECT 7"))) == 7
    await database.close()


async def test_messages_contain_neither_values_nor_the_password(
    mariadb_url: str, storage: SqlStorage
) -> None:
    with pytest.raises(UnstorableValue, match=r"a value that it cannot store \(1406\)"):
        await storage.users.add(Username("bob"), PasswordHash("the-hash" * 99))
    with pytest.raises(UnstorableValue, match="a value that it cannot store"):
        await storage.users.add(Username("bob"), PasswordHash("the-hash\ud800"))
    parts = urlsplit(mariadb_url)
    url = parts._replace(netloc=parts.netloc.replace(parts.password or "", "wr0ng")).geturl()
    with pytest.raises(StorageUnavailable, match=r"Access denied .* \(1045\)") as refusal:
        await SqlStorage(database_at(url)).open()
    assert "wr0ng" not in f"{refusal.value}{refusal.value.__cause__}"
    assert await find_reason_to_wait(url) is None


async def test_next_host_is_used_when_one_is_gone(mariadb_url: str) -> None:
    account, _, rest = mariadb_url.rpartition("@")
    storage = SqlStorage(database_at(f"{account}@127.0.0.1:1,{rest}"))
    await storage.open()
    await storage.close()
    assert await find_reason_to_wait(f"{account}@127.0.0.1:1/orders")
    assert await find_reason_to_wait(mariadb_url) is None
