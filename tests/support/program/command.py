"""The ordergate command, run to its end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ordergate.entrypoints.cli.commands.serving import DEMO_PASSWORD
from ordergate.entrypoints.config.environment import PREFIX
from tests.support.program.captured_output import OUTPUT, run_program

PASSWORD = "the password of all test users"
NEW_PASSWORD = "another password of a test user"
OUTPUT.secrets.update({PASSWORD, NEW_PASSWORD})
SECONDS = 30
PATIENT = {"SIGN_IN_FAILURES_PER_ACCOUNT": 1_000, "SIGN_IN_FAILURES_PER_ADDRESS": 10_000}
"""For servers that many tests fail to sign in to, all from one address."""
not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has what is looked at")
SECRET = ("PASSWORD", "SIGNING_SECRET", "THROTTLE_URL")
"""Settings whose values are secret."""


def clean_environment(**settings: object) -> dict[str, str]:
    """Return this process's environment with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    OUTPUT.secrets.update(
        str(settings[name])
        for name in ("PASSWORD", "SIGNING_SECRET")
        if str(settings.get(name, "")).strip()  # blank in tests of blank settings
        and settings[name] != DEMO_PASSWORD  # the OpenAPI document shows it
    )
    return kept | {PREFIX + name: str(value) for name, value in settings.items()}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ordergate(
    *arguments: object, cwd: Path, stdin: object = "", **settings: object
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end with a text as standard input."""
    return run_program(
        [sys.executable, "-m", "ordergate.entrypoints", *map(str, arguments)],
        cwd=cwd,
        env=clean_environment(**settings),
        input=str(stdin),
        capture_output=True,
        text=True,
        timeout=SECONDS * 2,
    )


CHEAP = {"BCRYPT_COST": 4}


def seed_folder(folder: Path, *, orders: int) -> Path:
    """Fill a folder with a database and its backup.

    The database has 3 users and these orders.
    """
    seed = ("seed", "--users", 3, "--orders", orders)
    for command in (("migrate",), seed, ("backup", "backup.db")):
        done = ordergate(*command, cwd=folder, PASSWORD=PASSWORD, **CHEAP)
        assert done.returncode == 0, done.stderr
    return folder


def error_lines(result: subprocess.CompletedProcess[str], status: int = 1) -> list[str]:
    """Return the lines on standard error of a failed command."""
    assert result.returncode == status, result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert all(line.startswith("ordergate: ") for line in lines), result.stderr
    return [line.removeprefix("ordergate: ") for line in lines]


def error_line(result: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """Return the only line on standard error of a failed command."""
    (line,) = error_lines(result, status)
    return line
