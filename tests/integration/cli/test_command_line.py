"""What commands print, and how they end."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from ordergate.entrypoints.cli.main import cli
from tests.support.program.captured_output import run_program
from tests.support.program.command import (
    CHEAP,
    PASSWORD,
    SECONDS,
    clean_environment,
    error_line,
    error_lines,
    on_linux,
    ordergate,
)


def test_migrate_creates_the_database_and_is_idempotent(tmp_path: Path) -> None:
    database = tmp_path / ".ordergate" / "ordergate.db"
    for outcome in ("is current", "was current already; nothing changed"):
        result = ordergate("migrate", cwd=tmp_path)
        assert (result.returncode, result.stdout) == (0, f"The schema of {database} {outcome}.\n")
    assert database.is_file()


@pytest.mark.parametrize(
    "arguments",
    [["serve"], ["users", "add", "alice"], ["seed", "--users", "1", "--orders", "1"]],
    ids=" ".join,
)
def test_command_names_migrate_when_the_schema_is_missing(
    tmp_path: Path, arguments: list[str]
) -> None:
    result = ordergate(*arguments, cwd=tmp_path, PASSWORD=PASSWORD)
    assert error_line(result) == (
        "there is no database at .ordergate/ordergate.db; `ordergate migrate` makes one there"
    )
    assert not (tmp_path / ".ordergate").exists()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_command_works_when_a_stream_is_closed(migrated: Path, closed: str) -> None:
    command = f'"$0" -m ordergate.entrypoints migrate {closed}'
    result = run_program(
        ["sh", "-c", command, sys.executable],
        cwd=migrated,
        env=clean_environment(PASSWORD=PASSWORD, **CHEAP),
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_ctrl_c_during_loading_is_reported_in_one_line(tmp_path: Path) -> None:
    code = """
import types, ordergate.entrypoints.cli, ordergate.entrypoints.__main__ as command
def interrupt(): raise KeyboardInterrupt
ordergate.entrypoints.cli.main = types.SimpleNamespace(main=interrupt)
command.main()
"""
    result = run_program([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (130, "ordergate: interrupted\n")


@pytest.mark.parametrize(
    ("path", "flaw"),
    [
        ("", "is blank"),
        ("copy ", "ends with a space (U+0020)"),
        ("copy\r", "contains a carriage return (U+000D)"),
        ('"copy"', "is between quotation marks (U+0022); leave them out"),
        (
            "~/copy",
            "begins with a tilde (U+007E), which only a shell replaces; write the whole path",
        ),
    ],
)
@pytest.mark.parametrize("command", ["backup", "restore", "keys new --from"])
def test_command_refuses_a_mangled_path(migrated: Path, command: str, path: str, flaw: str) -> None:
    before = sorted(migrated.rglob("*"))
    result = ordergate(*command.split(), path, cwd=migrated)
    assert error_line(result, status=2).endswith(f": the path {flaw}")
    assert sorted(migrated.rglob("*")) == before


def test_openapi_prints_the_document_and_creates_no_file(tmp_path: Path) -> None:
    result = ordergate("openapi", cwd=tmp_path)
    assert result.returncode == 0
    assert json.loads(result.stdout)["info"]["title"] == "Ordergate"
    assert list(tmp_path.iterdir()) == []


@on_linux
def test_unwritable_output_is_reported(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = run_program(
            [sys.executable, "-m", "ordergate.entrypoints", "openapi"],
            cwd=tmp_path,
            env=clean_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.returncode == 1
    assert result.stderr == ("ordergate: standard output: No space left on device\n")


def test_each_wrong_setting_is_named_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").touch()
    wrong = {"BCRYPT_COST": 99, "ISUER": "x", "SIGNING_SECRET": "hunter2", "LOG_LEVEL": "loud"}
    lines = error_lines(ordergate("serve", cwd=tmp_path, SIGNING_KEY_FILE="bad.pem", **wrong))
    assert [line for line in lines if not line.startswith("ORDERGATE_SIGNING_KEY_FILE: ")] == [
        "ORDERGATE_ISUER is not a setting; did you mean ORDERGATE_ISSUER?",
        "ORDERGATE_SIGNING_KEY_FILE and ORDERGATE_SIGNING_SECRET exclude each other",
        "ORDERGATE_SIGNING_SECRET: must have 32 bytes or more; `openssl rand -hex 32` makes one",
        "ORDERGATE_BCRYPT_COST: must be a whole number from 4 to 20",
        "ORDERGATE_LOG_LEVEL: must be one of debug, info, warning, error",
    ]
    (key,) = (line for line in lines if line.startswith("ORDERGATE_SIGNING_KEY_FILE: "))
    assert key.startswith("ORDERGATE_SIGNING_KEY_FILE: this is not a PEM file with a private key")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["serv"], "No such command 'serv'."),
        (["help"], "No such command 'help'. Did you mean '--help'?"),
        (["version"], "No such command 'version'. Did you mean '--version'?"),
        (["users", "help"], "No such command 'help'. Did you mean '--help'?"),
        (
            ["orders", "list", "--owner", "alice", "--owner-id", "2"],
            "--owner and --owner-id exclude each other",
        ),
        (["serve", "--prot", "1"], "No such option: --prot"),
        (
            ["serve", "--port", "many"],
            "Invalid value for '--port': must be a whole number from 0 to 65535",
        ),
        (["serve", "--port", "65536"], "Invalid value for '--port': must be"),
        (["serve", "--port", "-1"], "Invalid value for '--port': must be"),
        (["serve", "--port", "9" * 5000], "Invalid value for '--port': must be"),
        (["serve", "--port", "8_0"], "Invalid value for '--port': must be"),
        (["serve", "--wait", "86401"], "Invalid value for '--wait': must be"),
        (["serve", "--workers", "0"], "Invalid value for '--workers': must be"),
        (["serve", "--root-path", "shop"], "Invalid value for '--root-path': must be the path"),
        (["serve", "--root-path", "/shop/"], "Invalid value for '--root-path': must be the path"),
        (["serve", "--root-path", "/a b"], "Invalid value for '--root-path': must be the path"),
        (["orders", "advance", "first", "shipped"], "Invalid value for 'ID': must be"),
        (
            ["purge", "--keep-sessions-days", "soon"],
            "Invalid value for '--keep-sessions-days': must",
        ),
        (["users", "add"], "Missing argument 'NAME'."),
        (["seed", "--users", "1"], "Missing option '--orders'."),
        (["seed", "--users", "0", "--orders", "1"], "Invalid value for '--users': must be"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistyped_command_is_reported_in_one_line(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    assert error_line(ordergate(*arguments, cwd=tmp_path), status=2).startswith(reason)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_the_commands(tmp_path: Path, option: str) -> None:
    result = ordergate(option, cwd=tmp_path)
    assert result.returncode == 0
    for command in ("serve", "demo", "migrate", "users", "seed", "openapi", "keys"):
        assert re.search(rf"^\s+{command} ", result.stdout, re.MULTILINE)


def test_descriptions_in_lists_of_commands_are_whole() -> None:
    groups = [typer.main.get_command(cli)]
    while groups:
        group = groups.pop()
        assert isinstance(group, TyperGroup)
        commands = group.get_help(typer.Context(group, terminal_width=80)).partition("Commands:")[2]
        assert commands
        assert "..." not in commands
        groups += [each for each in group.commands.values() if isinstance(each, TyperGroup)]


def test_shell_completes_commands(tmp_path: Path) -> None:
    result = run_program(
        [Path(sys.executable).with_name("ordergate")],
        cwd=tmp_path,
        env=clean_environment()
        | {
            "_ORDERGATE_COMPLETE": "complete_bash",
            "COMP_WORDS": "ordergate users s",
            "COMP_CWORD": "2",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert result.stdout.split() == ["show", "set-password"]


def test_version_is_printed(tmp_path: Path) -> None:
    assert ordergate("--version", cwd=tmp_path).stdout == f"ordergate {version('ordergate')}\n"
