"""Make and restore backups of a SQLite file, also after damage."""

import asyncio
import errno
import stat
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite import backup as sqlite_backup
from ordergate.adapters.sql.sqlite.backup import SqliteFile
from ordergate.adapters.sql.sqlite.contents import count_contents
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.errors import BackupRefused
from ordergate.application.ports.archive import Contents
from ordergate.entrypoints.cli.commands.backup import storage_file
from ordergate.entrypoints.cli.runtime import Failure
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from tests.support.builders import ALICE, an_order
from tests.support.program.command import error_line, ordergate
from tests.support.storage.backups import DAMAGES, DATABASE, counts
from tests.support.storage.sqlite import execute


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
    assert line == "nowhere/b.db: there is no folder nowhere"


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
    """Orders are sorted by their ids, so that none is left out."""
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


def test_backup_refuses_a_database_that_is_not_a_file(tmp_path: Path) -> None:
    container = Container(settings=Settings(home=tmp_path), storage_file=providers.Object(None))
    with pytest.raises(Failure, match="pg_dump and pg_restore"):
        storage_file(container)


async def test_backup_and_restore_raise_one_type_of_error(home: Path) -> None:
    file = SqliteFile(home / DATABASE)
    with pytest.raises(BackupRefused):
        file.backup(home / "backup.db")
    with pytest.raises(BackupRefused):
        file.restore(home / "backup.db", replace=False)
