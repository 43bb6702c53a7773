"""The short form of `crashes.py`."""

from pathlib import Path

import pytest

from tests.crash.crashes import crash_on_mariadb, crash_on_postgres, crash_on_sqlite
from tests.support.storage.order_clients import Ledger, check_ledger

KILLS = 3


def test_acknowledged_orders_survive_when_the_server_is_killed(tmp_path: Path) -> None:
    assert "none lost, none doubled, the file is sound" in crash_on_sqlite(tmp_path, KILLS)


def test_acknowledged_orders_survive_when_postgresql_is_killed(
    tmp_path: Path, postgres_binaries: Path
) -> None:
    assert "none lost, none doubled" in crash_on_postgres(tmp_path, KILLS, postgres_binaries)


def test_acknowledged_orders_survive_when_mariadb_is_killed(
    tmp_path: Path, mariadb_program: Path
) -> None:
    assert "none lost, none doubled" in crash_on_mariadb(tmp_path, KILLS, mariadb_program)


@pytest.mark.parametrize(
    ("found", "error_line"),
    [
        ([("b", 2)], "lost"),
        ([("a", 1), ("a", 3), ("b", 2)], "doubled"),
        ([("a", 9), ("b", 2)], "lost"),
        ([("a", 1), ("b", 2), ("d", 4)], "never wished for"),
    ],
)
def test_judge_reports_lost_and_doubled_orders(
    found: list[tuple[str, int]], error_line: str
) -> None:
    ledger = Ledger(acknowledged={"a": 1, "b": 2}, unheard={"c"})
    assert "none lost" in check_ledger(ledger, [("a", 1), ("b", 2), ("c", 3)])
    with pytest.raises(AssertionError, match=error_line):
        check_ledger(ledger, found)
