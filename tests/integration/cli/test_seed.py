"""ordergate seed."""

import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.support.program.command import (
    CHEAP,
    PASSWORD,
    SECONDS,
    clean_environment,
    error_line,
    ordergate,
    wait_until,
)
from tests.support.program.terminal import on_a_terminal


def test_terminal_shows_the_progress_of_seed(migrated: Path) -> None:
    arguments = ["seed", "--users", "2", "--orders", "20000"]
    with on_a_terminal(*arguments, cwd=migrated, PASSWORD=PASSWORD, **CHEAP) as terminal:
        terminal.read_until("Loaded 2 users and 20000 orders.")
    counts = [int(count) for count in re.findall(r"(\d+)/20000", terminal.shown)]
    assert counts == sorted(counts)
    assert len(set(counts)) > 1
    assert counts[-1] == 20000


def test_seed_is_refused_when_it_is_repeated(migrated: Path) -> None:
    arguments = ["seed", "--users", "2", "--orders", "5"]
    result = ordergate(*arguments, cwd=migrated, PASSWORD=PASSWORD, **CHEAP)
    assert (result.returncode, result.stdout) == (0, "Loaded 2 users and 5 orders.\n")
    assert result.stderr == ""
    result = ordergate(*arguments, cwd=migrated, PASSWORD=PASSWORD, **CHEAP)
    assert error_line(result).startswith("there are users or orders already")


def test_seed_assigns_orders_round_robin(migrated: Path) -> None:
    arguments = ["seed", "--users", 3, "--orders", 1000]
    assert ordergate(*arguments, cwd=migrated, PASSWORD=PASSWORD, **CHEAP).returncode == 0
    with closing(sqlite3.connect(migrated / ".ordergate" / "ordergate.db")) as database:
        rows = database.execute("SELECT id, owner_id FROM orders ORDER BY id").fetchall()
        hashes = database.execute("SELECT DISTINCT password_hash FROM users").fetchall()
    assert rows == [(i, (i - 1) % 3 + 1) for i in range(1, 1001)]
    assert len(hashes) == 1


def test_seed_requires_a_password(migrated: Path) -> None:
    result = ordergate("seed", "--users", "2", "--orders", "5", cwd=migrated)
    assert error_line(result) == (
        "there is no terminal to ask for a password; set ORDERGATE_PASSWORD or give"
        " --password-stdin"
    )


def test_interrupted_seed_leaves_nothing(migrated: Path) -> None:
    database = migrated / ".ordergate" / "ordergate.db"
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ordergate.entrypoints",
            "seed",
            "--users",
            "9",
            "--orders",
            "50000000",
        ],
        cwd=migrated,
        env=clean_environment(PASSWORD=PASSWORD, **CHEAP),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(lambda: is_locked(database))
            process.send_signal(signal.SIGINT)
            _, output = process.communicate(timeout=SECONDS)
        finally:
            process.kill()  # it would run for an hour
    assert (process.returncode, output) == (130, "ordergate: interrupted\n")
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)


def is_locked(database: Path) -> bool:
    connection = sqlite3.connect(database, timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False
