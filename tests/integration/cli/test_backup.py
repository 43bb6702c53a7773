"""Backups of a SQLite file: made, restored, and missed when the file is damaged."""

import asyncio
import errno
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from dependency_injector import providers

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite import backup as sqlite_backup
from ordergate.adapters.sql.sqlite.backup import SqliteFile
from ordergate.adapters.sql.sqlite.contents import count_contents
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.adapters.sql.sqlite.file import configure, connect
from ordergate.application.errors import BackupRefused, StorageUnavailable
from ordergate.application.ports.storage_file import Contents
from ordergate.domain.order import OrderId
from ordergate.domain.user import PasswordHash, Username
from ordergate.entrypoints.cli.backup import storage_file
from ordergate.entrypoints.cli.runtime import Failure, check_file
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from tests.support.builders import ALICE, an_order
from tests.support.command import CHEAP, PASSWORD, error_line, ordergate
from tests.support.server import Start
from tests.support.sqlite import execute

DATABASE = Path(".ordergate") / "ordergate.db"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a database of 3 users and 3,000 orders, and its backup."""
    folder = tmp_path_factory.mktemp("seeded")
    arguments = ["seed", "--users", 3, "--orders", 3000]
    for command in (["migrate"], arguments, ["backup", "backup.db"]):
        done = ordergate(*command, cwd=folder, PASSWORD=PASSWORD, **CHEAP)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def home(seeded: Path, tmp_path: Path) -> Path:
    shutil.copytree(seeded, tmp_path, dirs_exist_ok=True)
    return tmp_path


def counts(file: Path) -> list[Any]:
    query = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM orders)"
    return execute(file, query)


def overwrite_the_middle(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(size // 2)
        opened.write(b"\xa5" * (size // 4))


def truncate(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def write_something_else(file: Path) -> None:
    file.write_bytes(b"this is no database" * 1000)


DAMAGES = [overwrite_the_middle, truncate, write_something_else]


# Backup


def test_backup_reports_its_file_and_makes_it_private(home: Path) -> None:
    result = ordergate("backup", "other.db", cwd=home)
    size = (home / "other.db").stat().st_size / 2**20
    assert result.stdout == (
        f"Wrote 3 users and 3000 orders ({size:.1f} MiB) to other.db; it is sound.\n"
    )
    assert stat.S_IMODE((home / "other.db").stat().st_mode) == 0o600
    assert counts(home / "other.db") == [(3, 3000)]
    assert {path.name for path in home.iterdir()} == {".ordergate", "backup.db", "other.db"}


def test_backup_does_not_overwrite_an_existing_file(home: Path) -> None:
    before = (home / "backup.db").read_bytes()
    assert error_line(ordergate("backup", "backup.db", cwd=home)) == (
        "backup.db exists; name a new file"
    )
    assert (home / "backup.db").read_bytes() == before


def test_backup_reports_an_unwritable_target(home: Path) -> None:
    line = error_line(ordergate("backup", "nowhere/b.db", cwd=home))
    assert line == "nowhere/b.db: No such file or directory"


def test_backup_fails_without_a_database(tmp_path: Path) -> None:
    line = error_line(ordergate("backup", "b.db", cwd=tmp_path))
    assert line.endswith(".ordergate/ordergate.db: there is no such file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_backup_refuses_a_damaged_database(home: Path, damage: Any) -> None:
    damage(home / DATABASE)
    line = error_line(ordergate("backup", "other.db", cwd=home))
    assert line == (
        f"the database {DATABASE} is damaged: restore a backup with "
        "`ordergate restore --replace FILE`"
    )
    assert {path.name for path in home.iterdir()} == {".ordergate", "backup.db"}


def test_backup_does_not_overwrite_a_file_created_meanwhile(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create_another_file(copy: Path, *, called: Path) -> Contents:
        (home / "other.db").write_text("somebody else's")
        return count_contents(copy, called=called)

    monkeypatch.setattr(sqlite_backup, "count_contents", create_another_file)
    with pytest.raises(BackupRefused, match=r"other\.db exists; name a new file"):
        SqliteFile(home / DATABASE).backup(home / "other.db")
    assert (home / "other.db").read_text() == "somebody else's"
    assert {path.name for path in home.iterdir()} == {".ordergate", "backup.db", "other.db"}


def test_backup_works_on_a_file_system_without_links(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_links(_self: Path, _target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse_links)
    SqliteFile(home / DATABASE).backup(home / "other.db")
    assert counts(home / "other.db") == [(3, 3000)]
    assert {path.name for path in home.iterdir()} == {".ordergate", "backup.db", "other.db"}


async def test_backup_is_a_snapshot_while_orders_are_placed(tmp_path: Path) -> None:
    """Orders come in the order of their ids, so that those of a moment have no gap."""
    storage = SqlStorage(SqliteDatabase(tmp_path / "orders.db"))
    await storage.migrate()
    await storage.open()
    await storage.users.add(ALICE.username, ALICE.password_hash)
    done = asyncio.Event()
    placed = 0

    async def place() -> None:
        nonlocal placed
        while not done.is_set():
            order = an_order(placed + 1)
            assert await storage.orders.add(order, owner=order.owner) == order
            placed += 1

    placing = asyncio.create_task(place())
    for i in range(5):
        before = placed
        file = tmp_path / f"backup{i}.db"
        contents = await asyncio.to_thread(SqliteFile(tmp_path / "orders.db").backup, file)
        assert before <= contents.orders <= placed + 1
        assert execute(file, "SELECT count(*), max(id) FROM orders") == [
            (contents.orders, contents.orders or None)
        ]
    done.set()
    await placing
    await storage.close()
    assert placed > 0


# Restore


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
    """Return a restore that has looked at everything and asks for the lock."""
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
            "UPDATE alembic_version SET version_num = '9999'",
            "backup.db was made by a newer Ordergate; install that version",
        ),
        (
            "UPDATE alembic_version SET version_num = 'abcd'",
            "backup.db is not a database of Ordergate",
        ),
        ("DELETE FROM alembic_version", "backup.db is not a database of Ordergate"),
        ("DROP TABLE alembic_version", "backup.db is not a database of Ordergate"),
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
    execute(home / "backup.db", "UPDATE alembic_version SET version_num = '0001'")
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
    token = httpx.post(f"{server.url}/login", data=form).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    execute(home / DATABASE, "DELETE FROM order_lines", "DELETE FROM orders")

    def reads() -> set[int]:
        return {
            httpx.get(f"{server.url}/order?id=1", headers=headers).status_code for _ in range(20)
        }

    assert reads() == {404}
    assert ordergate("restore", "backup.db", "--replace", cwd=home).returncode == 0
    assert reads() == {200}
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    assert httpx.post(f"{server.url}/login", data=form).status_code == 200


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


def test_backup_refuses_a_database_that_is_not_a_file(tmp_path: Path) -> None:
    container = Container(settings=Settings(home=tmp_path), storage_file=providers.Object(None))
    with pytest.raises(Failure, match="pg_dump and pg_restore"):
        storage_file(container)


# Damage


@pytest.mark.parametrize("damage", DAMAGES)
def test_serve_reports_a_damaged_database_before_it_listens(home: Path, damage: Any) -> None:
    damage(home / DATABASE)
    line = error_line(ordergate("serve", "--port", 0, cwd=home))
    assert line == (
        "cannot use the database (ORDERGATE_DATABASE_URL, ORDERGATE_HOME): "
        f"the database {DATABASE} is damaged: restore a backup with "
        "`ordergate restore --replace FILE`"
    )


def test_demo_reports_a_damaged_database(home: Path) -> None:
    demo = home / ".ordergate" / "demo"
    demo.mkdir()
    shutil.copy(home / DATABASE, demo / "ordergate.db")
    overwrite_the_middle(demo / "ordergate.db")
    assert "is damaged" in error_line(ordergate("demo", "--port", 0, cwd=home))


def test_intact_missing_and_empty_files_pass_the_check(home: Path) -> None:
    (home / "empty.db").touch()
    for name in (DATABASE, "missing.db", "empty.db"):
        assert SqliteFile(home / name).check(seconds=10)
    assert not (home / "missing.db").exists()


def test_check_runs_at_idle_priority_in_the_background_only(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowered = []
    monkeypatch.setattr(
        "ordergate.adapters.sql.sqlite.integrity_check.run_at_idle_priority",
        lambda *_: lowered.append(1),
    )
    assert SqliteFile(home / DATABASE).check(seconds=10)
    assert not lowered
    assert SqliteFile(home / DATABASE).check(seconds=None)
    assert lowered


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda _: None, "INFO: the database was checked and is not damaged"),
        (overwrite_the_middle, "ERROR: the database {} is damaged: restore a backup with `"),
    ],
)
def test_slow_check_continues_and_reports_its_result(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
    said: str,
) -> None:
    go_on = threading.Event()

    def slow(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.set_progress_handler(lambda: int(not go_on.wait(10)), 1)
        return connection

    damage(home / DATABASE)
    monkeypatch.setattr("ordergate.adapters.sql.sqlite.integrity_check.connect", slow)
    monkeypatch.setattr("ordergate.entrypoints.cli.runtime._CHECK_SECONDS", 0.01)
    file = providers.Object(SqliteFile(home / DATABASE))
    with caplog.at_level("INFO", "ordergate.storage"):
        check_file(Container(settings=Settings(home=home), storage_file=file))
        (started,) = caplog.records
        go_on.set()
        looking = [each for each in threading.enumerate() if each.name == "storage-check"]
        for each in looking:
            each.join(10)
    (_, found) = caplog.records
    assert f"{started.levelname}: {started.message}" == (
        "WARNING: the database is too large to be checked before the start; it is checked meanwhile"
    )
    assert f"{found.levelname}: {found.message}".startswith(said.format(home / DATABASE))


async def test_backup_and_restore_raise_one_type_of_error(home: Path) -> None:
    file = SqliteFile(home / DATABASE)
    with pytest.raises(BackupRefused):
        file.backup(home / "backup.db")
    with pytest.raises(BackupRefused):
        file.restore(home / "backup.db", replace=False)
