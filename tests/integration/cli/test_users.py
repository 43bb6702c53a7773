"""ordergate users add."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from passlib.hash import bcrypt_sha256

from tests.support.program.command import CHEAP, NEW_PASSWORD, PASSWORD, error_line, ordergate
from tests.support.program.terminal import on_a_terminal


def test_user_is_added_with_the_password_in_the_environment(migrated: Path) -> None:
    result = ordergate("users", "add", "Alice", cwd=migrated, PASSWORD=PASSWORD, **CHEAP)
    assert (result.returncode, result.stdout) == (0, "Added user alice with id 1.\n")
    result = ordergate("users", "add", "ALICE", cwd=migrated, PASSWORD=PASSWORD, **CHEAP)
    assert error_line(result) == "this user name is taken; choose another"
    with closing(sqlite3.connect(migrated / ".ordergate" / "ordergate.db")) as database:
        assert PASSWORD not in str(database.execute("SELECT * FROM users").fetchall())


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        (
            "a b",
            PASSWORD,
            (
                "A user name has letters, digits and ASCII punctuation, and no spaces;"
                " it cannot have U+0020 (SPACE) at position 2."
            ),
        ),
        ("", PASSWORD, "A user name must have 1 to 64 characters."),
        ("alice", "x" * 4097, "A password must have at most 4096 bytes."),
        ("alice", "a\tb", "A password cannot contain control characters."),
    ],
)
def test_users_add_reports_an_invalid_name_or_password(
    migrated: Path, name: str, password: str, reason: str
) -> None:
    result = ordergate("users", "add", name, cwd=migrated, PASSWORD=password, **CHEAP)
    assert error_line(result) == reason


def test_users_add_reads_the_password_from_the_environment_without_a_terminal(
    migrated: Path,
) -> None:
    result = ordergate("users", "add", "alice", cwd=migrated)
    assert error_line(result) == (
        "there is no terminal to ask for a password; set ORDERGATE_PASSWORD or give"
        " --password-stdin"
    )


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize(
    "arguments", [("users", "add", "alice"), ("seed", "--users", 1, "--orders", 0)], ids=str
)
def test_password_is_read_from_standard_input(
    migrated: Path, arguments: tuple[object, ...], end: str
) -> None:
    database = migrated / ".ordergate" / "ordergate.db"
    ignored = "the password of the environment"
    result = ordergate(
        *arguments,
        "--password-stdin",
        cwd=migrated,
        stdin=f"{PASSWORD}{end}",
        PASSWORD=ignored,
        **CHEAP,
    )
    assert result.returncode == 0
    with closing(sqlite3.connect(database)) as opened:
        (stored,) = opened.execute("SELECT password_hash FROM users").fetchone()
    assert bcrypt_sha256.verify(PASSWORD, stored)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "A password cannot be empty."),
        ("x" * 5_000, "A password must have at most 4096 bytes."),
        ("one line\nanother", "A password cannot contain control characters."),
    ],
    ids=["nothing", "long", "lines"],
)
def test_invalid_password_on_standard_input_is_reported(
    migrated: Path, given: str, reason: str
) -> None:
    result = ordergate("users", "add", "alice", "--password-stdin", cwd=migrated, stdin=given)
    assert error_line(result) == reason


def test_terminal_asks_for_the_password_twice_and_hides_it(migrated: Path) -> None:
    with on_a_terminal("users", "add", "alice", cwd=migrated, **CHEAP) as terminal:
        for prompt in ("Password: ", "Repeat for confirmation: "):
            terminal.read_until(prompt)
            terminal.type(PASSWORD)
        terminal.read_until("Added user alice")
    assert PASSWORD not in terminal.shown


def test_terminal_asks_again_for_a_refused_password_or_a_wrong_repetition(migrated: Path) -> None:
    with on_a_terminal("users", "add", "alice", cwd=migrated, **CHEAP) as terminal:
        terminal.read_until("Password: ")
        terminal.type("short")
        terminal.read_until("A password must have at least 15 characters.\r\nPassword: ")
        terminal.type(PASSWORD)
        terminal.read_until("Repeat for confirmation: ")
        terminal.type(NEW_PASSWORD)
        terminal.read_until("The passwords differ; enter both again.\r\nPassword: ")
        terminal.type(PASSWORD)
        terminal.read_until("Repeat for confirmation: ")
        terminal.type(PASSWORD)
        terminal.read_until("Added user alice")


@pytest.mark.parametrize(
    ("key", "status", "reason"),
    [(b"\x03", 130, "interrupted"), (b"\x04", 1, "no password was given")],
    ids=["Ctrl-C", "Ctrl-D"],
)
@pytest.mark.parametrize("typed", [[], [PASSWORD]], ids=["first", "confirmation"])
def test_key_that_ends_a_prompt_ends_the_command(
    migrated: Path, key: bytes, status: int, reason: str, typed: list[str]
) -> None:
    with on_a_terminal("users", "add", "alice", cwd=migrated, status=status) as terminal:
        terminal.read_until("Password: ")
        for line in typed:
            terminal.type(line)
            terminal.read_until("Repeat for confirmation: ")
        terminal.press(key)
        terminal.read_until(f"\nordergate: {reason}")


def test_terminal_asks_for_no_password_of_a_name_that_cannot_be_added(migrated: Path) -> None:
    added = ordergate("users", "add", "alice", cwd=migrated, PASSWORD=PASSWORD, **CHEAP)
    assert added.returncode == 0
    for name, reason in {"alice": "this user name is taken", "a b": "A user name has"}.items():
        with on_a_terminal("users", "add", name, cwd=migrated, status=1) as terminal:
            terminal.read_until(f"ordergate: {reason}")
        assert "Password" not in terminal.shown
