"""Run `copy`, `purge` and `orders` to PostgreSQL and back."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.ports.archive import RECORD_TYPES, Record
from ordergate.application.ports.storage import Storage
from tests.support.databases.postgres import database_at
from tests.support.program.captured_output import OUTPUT
from tests.support.program.command import SECONDS, clean_environment, error_line, ordergate
from tests.support.storage.copies import SOURCE, TARGET, seeded
from tests.support.storage.storage_calls import read_all

ORDERS = 5_000
COUNTS = (
    f"Copied and verified 5 accounts, 1 subjects, 1 sessions, 1 refresh tokens, {ORDERS} orders,"
    " 1 idempotency keys.\n"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeded(tmp_path_factory.mktemp("shop"), ORDERS)


@pytest.fixture
async def watcher(bare_postgres_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Return a connection that watches the database."""
    connection = await asyncpg.connect(bare_postgres_url)
    yield connection
    await connection.close()


async def run(*arguments: object, cwd: Path, **settings: object) -> str:
    """Run the command in another thread, and return what it wrote."""
    done = await asyncio.to_thread(ordergate, *arguments, cwd=cwd, **settings)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def contents(storage: Storage) -> dict[str, list[Record]]:
    """Read all records, sorted the same way for every storage."""
    await storage.open()
    try:
        return {name: sorted(await read_all(storage, name), key=repr) for name in RECORD_TYPES}
    finally:
        await storage.close()


async def file_contents(file: Path) -> dict[str, list[Record]]:
    return await contents(SqlStorage(SqliteDatabase(file)))


async def url_contents(url: str) -> dict[str, list[Record]]:
    return await contents(SqlStorage(database_at(url)))


async def orders_at(watcher: "asyncpg.Connection[asyncpg.Record]") -> int:
    try:
        return int(await watcher.fetchval("SELECT count(*) FROM orders"))
    except asyncpg.UndefinedTableError:
        return -1


async def test_storage_is_equal_when_it_was_copied_to_postgresql_and_back(
    shop: Path,
    bare_postgres_url: str,
    tmp_path: Path,
    watcher: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    there = ["copy", "--from", SOURCE, "--to", bare_postgres_url]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "ordergate.entrypoints", *there),
        cwd=shop,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        while process.returncode is None and await orders_at(watcher) <= 0:
            await asyncio.sleep(0.001)
    process.kill()
    OUTPUT.add(*await process.communicate())
    assert process.returncode == -signal.SIGKILL
    assert 0 < await orders_at(watcher) < ORDERS
    refused = await asyncio.to_thread(ordergate, "purge", cwd=shop, DATABASE_URL=bare_postgres_url)
    assert "the database holds an unfinished copy" in error_line(refused)

    assert await run(*there, cwd=shop) == COUNTS
    source = await file_contents(shop / ".ordergate" / "ordergate.db")
    assert await url_contents(bare_postgres_url) == source

    back = await run("copy", "--from", bare_postgres_url, "--to", TARGET, cwd=tmp_path)
    assert back == COUNTS
    assert await file_contents(tmp_path / "moved" / "orders.db") == source


async def test_copy_has_a_longer_time_limit_than_a_request(
    shop: Path, bare_postgres_url: str, watcher: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await run("migrate", cwd=shop, DATABASE_URL=bare_postgres_url)
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database() AND clock_timestamp() - query_start > interval '2 s'"
    )
    copy = ["copy", "--from", SOURCE, "--to", bare_postgres_url]
    rival = await asyncpg.connect(bare_postgres_url)
    async with rival.transaction():
        await rival.execute("LOCK TABLE orders")
        copying = asyncio.create_task(run(*copy, cwd=shop, DATABASE_STATEMENT_SECONDS=1))
        async with asyncio.timeout(SECONDS):
            while not copying.done() and not await watcher.fetchval(waits):
                await asyncio.sleep(0.01)
        assert not copying.done()
    await rival.close()
    assert await copying == COUNTS


async def test_purge_and_advance_work_on_postgresql(shop: Path, bare_postgres_url: str) -> None:
    await run("copy", "--from", SOURCE, "--to", bare_postgres_url, cwd=shop)
    before = await url_contents(bare_postgres_url)
    for removed in ("1 idempotency keys and 1 sessions", "0 idempotency keys and 0 sessions"):
        purged = await run("purge", cwd=shop, DATABASE_URL=bare_postgres_url)
        assert purged == f"Removed {removed}.\n"
    gone: dict[str, list[Record]] = {"sessions": [], "refresh tokens": [], "idempotency keys": []}
    assert await url_contents(bare_postgres_url) == before | gone
    advance = ["orders", "advance", 1, "shipped"]
    advanced = await asyncio.to_thread(
        ordergate, *advance, cwd=shop, DATABASE_URL=bare_postgres_url
    )
    assert (advanced.returncode, advanced.stdout) == (0, "Order 1 of user1 is shipped.\n")
    assert json.loads(advanced.stderr)["event"] == "order_advanced"
