"""ordergate restore."""

import asyncio
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.backup import SqliteFile
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.adapters.sql.sqlite.file import configure
from ordergate.application.errors import BackupRefused, StorageUnavailable
from ordergate.application.ports.archive import Contents
from ordergate.domain.order import OrderId
from ordergate.domain.user import PasswordHash, Username
from tests.support.builders import ALICE, an_order
from tests.support.program.command import CHEAP, PASSWORD, error_line, ordergate
from tests.support.program.server import Start
from tests.support.storage.backups import DAMAGES, DATABASE, counts
from tests.support.storage.sqlite import execute


def test_restore_creates_a_missing_database(home: Path) -> None:
    shutil.rmtree(home / ".ordergate")
    result = ordergate("restore", "backup.db", cwd=home)
    size = (home / "backup.db").stat().st_size / 2**20
    assert (result.returncode, result.stdout) == (
        0,
        f"Restored 3 users and 3000 orders ({size:.1f} MiB) from backup.db.\n",
    )
    assert counts(home / DATABASE) == [(3, 3000)]
    assert stat.S_IMODE((home / DATABASE).stat().st_mode) == 0o600
    assert [path.name for path in (home / ".ordergate").iterdir()] == ["ordergate.db"]
    assert ordergate("users", "add", "alice", cwd=home, PASSWORD=PASSWORD, **CHEAP).stdout == (
        "Added user alice with id 4.\n"
    )


def test_restore_replaces_users_and_orders_when_confirmed(home: Path) -> None:
    execute(home / DATABASE, "DELETE FROM order_lines", "DELETE FROM orders")
    line = error_line(ordergate("restore", "backup.db", cwd=home))
    assert line == (f"there are users or orders in {DATABASE}; replace them with --replace")
    assert counts(home / DATABASE) == [(3, 0)]
    assert ordergate("restore", "backup.db", "--replace", cwd=home).returncode == 0
    assert counts(home / DATABASE) == [(3, 3000)]


def test_id_used_since_the_backup_is_not_used_again(home: Path) -> None:
    for name in ("dora", "emil"):
        ordergate("users", "add", name, cwd=home, PASSWORD=PASSWORD, **CHEAP)
    assert ordergate("restore", "backup.db", "--replace", cwd=home).returncode == 0
    result = ordergate("users", "add", "fred", cwd=home, PASSWORD=PASSWORD, **CHEAP)
    assert result.stdout == "Added user fred with id 6.\n"


async def waiting_restore(
    home: Path, monkeypatch: pytest.MonkeyPatch, *, replace: bool
) -> "asyncio.Task[Contents]":
    """Return a restore that has checked everything and waits for the lock."""
    asks = threading.Event()

    def note(connection: sqlite3.Connection) -> None:
        configure(connection)
        asks.set()

    monkeypatch.setattr("ordergate.adapters.sql.sqlite.copy.configure", note)
    file = SqliteFile(home / DATABASE)
    restoring = asyncio.create_task(
        asyncio.to_thread(file.restore, home / "backup.db", replace=replace)
    )
    assert await asyncio.to_thread(asks.wait, 10)
    return restoring


async def test_id_used_while_a_restore_waits_is_not_used_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = "INSERT INTO users (username, password_hash) VALUES ('{}', 'hash') RETURNING id"
    with closing(sqlite3.connect(home / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert other.execute(add.format("dora")).fetchall() == [(4,)]
        restoring = await waiting_restore(home, monkeypatch, replace=True)
        other.execute("COMMIT")
    await restoring
    assert counts(home / DATABASE) == [(3, 3000)]
    assert execute(home / DATABASE, add.format("emil")) == [(5,)]
    assert execute(home / DATABASE, "PRAGMA integrity_check") == [("ok",)]


async def test_restore_needs_confirmation_when_an_account_was_opened_meanwhile(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(home / DATABASE, "DELETE FROM order_lines", "DELETE FROM orders", "DELETE FROM users")
    with closing(sqlite3.connect(home / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO users (username, password_hash) VALUES ('dora', 'hash')")
        restoring = await waiting_restore(home, monkeypatch, replace=False)
        other.execute("COMMIT")
    with pytest.raises(BackupRefused, match="replace them with --replace"):
        await restoring
    assert counts(home / DATABASE) == [(1, 0)]
    assert execute(home / DATABASE, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("damage", DAMAGES)
def test_restore_refuses_a_damaged_backup(home: Path, damage: Any) -> None:
    damage(home / "backup.db")
    line = error_line(ordergate("restore", "backup.db", "--replace", cwd=home))
    assert line == "backup.db is damaged or not a database"
    assert counts(home / DATABASE) == [(3, 3000)]
    assert {path.name for path in home.iterdir()} == {".ordergate", "backup.db"}


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            "UPDATE ordergate_version SET version_num = '9999'",
            "backup.db was made by a newer Ordergate; install that version",
        ),
        (
            "UPDATE ordergate_version SET version_num = 'abcd'",
            "backup.db is not a database of Ordergate",
        ),
        ("DELETE FROM ordergate_version", "backup.db is not a database of Ordergate"),
        ("DROP TABLE ordergate_version", "backup.db is not a database of Ordergate"),
    ],
)
def test_restore_refuses_a_file_of_another_program(home: Path, statement: str, reason: str) -> None:
    execute(home / "backup.db", statement)
    assert error_line(ordergate("restore", "backup.db", "--replace", cwd=home)) == reason
    assert counts(home / DATABASE) == [(3, 3000)]


def test_restore_changes_nothing_when_the_backup_is_missing(tmp_path: Path) -> None:
    line = error_line(ordergate("restore", "b.db", cwd=tmp_path))
    assert line == "b.db: No such file or directory"
    assert list(tmp_path.iterdir()) == []


def test_backup_of_an_older_schema_is_restored_and_then_migrated(home: Path) -> None:
    execute(home / "backup.db", "UPDATE ordergate_version SET version_num = '0001'")
    result = ordergate("restore", "backup.db", "--replace", cwd=home)
    assert result.stdout.endswith("Its schema is older: run `ordergate migrate`.\n")


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_database_is_restored(home: Path, damage: Any) -> None:
    damage(home / DATABASE)
    assert ordergate("restore", "backup.db", "--replace", cwd=home).returncode == 0
    assert counts(home / DATABASE) == [(3, 3000)]
    assert execute(home / DATABASE, "PRAGMA integrity_check") == [("ok",)]


async def test_readers_see_a_consistent_database_during_a_restore(tmp_path: Path) -> None:
    live, backup = tmp_path / "orders.db", tmp_path / "backup.db"
    storage = SqlStorage(SqliteDatabase(live))
    await storage.migrate()
    await storage.open()
    await storage.loader.load([ALICE], [an_order(i) for i in range(1, 501)])
    old = SqliteFile(live).backup(backup)
    assert (old.accounts, old.orders) == (1, 500)
    seen: set[tuple[int, int]] = set()
    over = threading.Event()

    def read() -> None:
        query = (
            "SELECT (SELECT count(*) FROM users), "
            "(SELECT count(*) FROM order_lines) + 2 * (SELECT count(*) FROM orders)"
        )
        with closing(sqlite3.connect(live, isolation_level=None)) as connection:
            while not over.is_set():
                seen.update(connection.execute(query).fetchall())

    for i in range(1, 6):
        await storage.users.add(Username(f"user{i}"), PasswordHash("hash"))
    reading = asyncio.create_task(asyncio.to_thread(read))
    for i in range(501, 601):
        await storage.orders.add(an_order(i), owner=ALICE.id)
    contents = await asyncio.to_thread(SqliteFile(live).restore, backup, replace=True)
    assert contents == Contents(1, 500, contents.size, is_current=True)
    assert await storage.orders.get_owned(OrderId(501), owner=ALICE.id) is None
    assert await storage.orders.get_owned(OrderId(500), owner=ALICE.id) == an_order(500)
    await storage.ping()
    assert await storage.orders.add(an_order(501), owner=ALICE.id) == an_order(501)
    over.set()
    await reading
    await storage.close()
    assert seen <= {(6, 4 * n) for n in range(500, 601)} | {(1, 2000), (1, 2004)}
    assert execute(live, "PRAGMA integrity_check") == [("ok",)]


def test_running_server_sees_a_restore(home: Path, start: Start) -> None:
    server = start("serve", "--workers", 2, cwd=home, **CHEAP)
    form = {"username": "user1", "password": PASSWORD}
    token = httpx2.post(f"{server.url}/login", data=form).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    execute(home / DATABASE, "DELETE FROM order_lines", "DELETE FROM orders")

    def reads() -> set[int]:
        return {
            httpx2.get(f"{server.url}/order?id=1", headers=headers).status_code for _ in range(20)
        }

    assert reads() == {404}
    assert ordergate("restore", "backup.db", "--replace", cwd=home).returncode == 0
    assert reads() == {200}
    assert httpx2.get(f"{server.url}/readyz").status_code == 200
    assert httpx2.post(f"{server.url}/login", data=form).status_code == 200


async def test_restore_waits_for_the_lock_and_reports_a_timeout(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordergate.adapters.sql.sqlite.copy.BUSY_SECONDS", 0.05)
    file = SqliteFile(home / DATABASE)
    with closing(sqlite3.connect(home / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match="database is locked"):
            file.restore(home / "backup.db", replace=True)
        other.execute("ROLLBACK")
    file.restore(home / "backup.db", replace=True)
