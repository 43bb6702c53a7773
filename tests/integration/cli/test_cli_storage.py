"""`copy`, `purge` and `orders` as a person types them, on SQLite files."""

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.program.captured_output import OUTPUT
from tests.support.program.command import (
    SECONDS,
    clean_environment,
    error_line,
    ordergate,
    wait_until,
)
from tests.support.storage.copies import SOURCE, TARGET, seeded

MOVED = Path("moved", "orders.db")
TABLES = (
    "users", "external_subjects", "sessions", "refresh_tokens", "orders", "order_lines",
    "idempotency_keys", "copies",
)  # fmt: skip
ORDERS = 20_000
RANDOM = random.Random(20_260_501)


def contents(file: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(file)) as database:
        return {
            table: sorted(database.execute(f"SELECT * FROM {table}").fetchall()) for table in TABLES
        }


def rows(file: Path, table: str) -> int:
    if not file.exists():
        return -1
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
            return int(count)
    except sqlite3.OperationalError:  # the table does not exist yet
        return -1


def copy_equals_source(folder: Path) -> bool:
    """Compare both databases, except the new name of an external account."""
    source, target = contents(folder / ".ordergate" / "ordergate.db"), contents(folder / MOVED)
    for each in (source, target):
        each["users"] = [row if row[0] != 8 else (8, "", row[2]) for row in each["users"]]
    return source == target


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return seeded(tmp_path, orders=5)


def copy(folder: Path) -> subprocess.CompletedProcess[str]:
    return ordergate("copy", "--from", SOURCE, "--to", TARGET, cwd=folder)


# Copying


def test_copy_contains_every_record_and_can_be_served(shop: Path) -> None:
    result = copy(shop)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "Copied and verified 5 accounts, 1 subjects, 1 sessions, 1 refresh tokens, 5 orders,"
        " 1 idempotency keys.\n"
    )
    assert copy_equals_source(shop)
    advanced = ordergate("orders", "advance", 1, "shipped", cwd=shop, DATABASE_URL=TARGET)
    assert advanced.stdout == "Order 1 of user1 is shipped.\n"


def test_copy_names_the_tables_that_it_leaves_behind(shop: Path) -> None:
    with closing(sqlite3.connect(shop / ".ordergate" / "ordergate.db")) as connection:
        for name in ("notes", "alembic_version"):
            connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)")
        connection.commit()
    result = copy(shop)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1:] == [
        "Not copied, because these tables are not Ordergate's: alembic_version, notes."
    ]


def test_copy_does_not_change_a_target_that_is_not_empty(shop: Path) -> None:
    assert copy(shop).returncode == 0
    before = contents(shop / MOVED)
    assert error_line(copy(shop)) == "--to: the database is not empty; copy into a new one"
    assert contents(shop / MOVED) == before


@pytest.mark.parametrize(
    ("source", "target", "status", "reason"),
    [
        (SOURCE, SOURCE, 2, "--from and --to name the same database"),
        (SOURCE, "sqlite:///", 2, "--to must name a file, as in sqlite:///folder/orders.db"),
        ("oracle://a:secret@b/c", TARGET, 2, "--from must begin with sqlite"),
        ("sqlite:///none.db", TARGET, 1, "--from: there is no database at none.db; check the URL"),
    ],
)
def test_refused_copy_reports_the_reason(
    shop: Path, source: str, target: str, status: int, reason: str
) -> None:
    result = ordergate("copy", "--from", source, "--to", target, cwd=shop)
    message = error_line(result, status)
    assert reason in message
    assert "secret" not in message
    assert not (shop / MOVED).exists()


def killed_copy(folder: Path, number: int, orders: int) -> int:
    """Kill a copy after so many orders; return its exit status."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ordergate.entrypoints", "copy", "--from", SOURCE, "--to", TARGET],
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    file = folder / MOVED
    wait_until(lambda: process.poll() is not None or rows(file, "orders") >= orders)
    process.send_signal(number)
    OUTPUT.add(*process.communicate(timeout=SECONDS))
    return process.returncode


def test_copy_continues_and_ends_equal_when_it_is_killed_repeatedly(tmp_path: Path) -> None:
    seeded(tmp_path, ORDERS)
    moments = sorted(RANDOM.randrange(1, ORDERS) for _ in range(3))
    signals = [signal.SIGKILL, signal.SIGINT, signal.SIGKILL]
    seen = []
    for number, moment in zip(signals, [-1, *moments[1:]], strict=True):
        assert killed_copy(tmp_path, number, moment) != 0
        seen.append(rows(tmp_path / MOVED, "orders"))
    assert seen == sorted(seen)
    assert rows(tmp_path / MOVED, "copies") == 1
    refused = ordergate("orders", "advance", 1, "shipped", cwd=tmp_path, DATABASE_URL=TARGET)
    assert error_line(refused) == (
        "the database holds an unfinished copy; run `ordergate copy` again with the same --from"
        " and --to to finish it"
    )
    done = copy(tmp_path)
    assert done.returncode == 0, done.stderr
    assert copy_equals_source(tmp_path)


# Purging


def test_purge_removes_only_what_has_expired(shop: Path) -> None:
    for expected in (
        "Removed 1 idempotency keys and 1 sessions.\n",
        "Removed 0 idempotency keys and 0 sessions.\n",
    ):
        result = ordergate("purge", cwd=shop)
        assert (result.returncode, result.stdout, result.stderr) == (0, expected, "")
    left = contents(shop / ".ordergate" / "ordergate.db")
    counts = [len(left[table]) for table in TABLES]
    assert counts[:5] + counts[6:] == [5, 1, 0, 0, 5, 0, 0]


def test_sessions_are_kept_for_the_given_number_of_days(shop: Path) -> None:
    result = ordergate("purge", "--keep-sessions-days", 36_500, cwd=shop)
    assert result.stdout == "Removed 1 idempotency keys and 0 sessions.\n"
    assert "from 2 to 36500" in error_line(
        ordergate("purge", "--keep-sessions-days", 1, cwd=shop), 2
    )


# Orders of staff


@pytest.fixture
def shared(shop: Path) -> Path:
    """Give order 1 also to a closed account and to user 2."""
    with closing(sqlite3.connect(shop / ".ordergate" / "ordergate.db")) as database, database:
        for owner in (2, 7):
            database.execute(
                "INSERT INTO orders SELECT ?, id, status, placed_at, currency, version"
                " FROM orders WHERE owner_id = 1 AND id = 1",
                (owner,),
            )
            database.execute(
                "INSERT INTO order_lines SELECT ?, order_id, position, sku, name, quantity,"
                " unit_price FROM order_lines WHERE owner_id = 1 AND order_id = 1",
                (owner,),
            )
    return shop


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((99, "paid"), "there is no order 99"),
        ((2, "paid", "--owner", "user1"), "there is no order 2 of user1"),
        ((2, "paid", "--owner-id", 7), "there is no order 2 of account 7"),
        ((2, "paid", "--owner", "nobody"), "there is no user nobody"),
        ((1, "paid"), "The order is paid; it may become shipped or cancelled, not paid."),
        ((1, "paid", "--owner", "a b"), "there is no user a b"),
    ],
)
def test_advance_reports_an_invalid_transition(
    shop: Path, arguments: tuple[object, ...], reason: str
) -> None:
    assert reason in error_line(ordergate("orders", "advance", *arguments, cwd=shop))


def test_advance_accepts_the_owner_by_name_or_by_account(shared: Path) -> None:
    message = error_line(ordergate("orders", "advance", 1, "shipped", cwd=shared))
    assert message == (
        "several users have an order 1: user1, user2, account 7; name one by --owner or --owner-id"
    )
    for arguments, whose in (
        (("--owner", "USER2"), "user2"),
        (("--owner-id", "7"), "account 7"),
        (("--owner-id", "1"), "user1"),
    ):
        done = ordergate("orders", "advance", 1, "shipped", *arguments, cwd=shared)
        assert done.stdout == f"Order 1 of {whose} is shipped.\n", done.stderr
    both = ordergate(
        "orders", "advance", 1, "delivered", "--owner", "user1", "--owner-id", 1, cwd=shared
    )
    assert error_line(both, 2).endswith("--owner and --owner-id exclude each other")
