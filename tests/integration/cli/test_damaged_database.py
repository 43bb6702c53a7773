"""Damaged database files are reported before they are used."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers

from ordergate.adapters.sql.sqlite.backup import SqliteFile
from ordergate.adapters.sql.sqlite.file import connect
from ordergate.entrypoints.cli.runtime import check_file
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from tests.support.program.command import error_line, ordergate
from tests.support.storage.backups import DAMAGES, DATABASE, overwrite_the_middle


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
