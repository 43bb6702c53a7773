"""The command as a person types it: what it prints, where, and how it ends."""

import json
import os
import pty
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.captured_output import OUTPUT, run_program
from tests.support.command import (
    CHEAP,
    PASSWORD,
    SECONDS,
    clean_environment,
    error_line,
    on_linux,
    ordergate,
    wait_until,
)
from tests.support.server import Start


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    assert ordergate("migrate", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def migrated(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_migrate_creates_the_database_and_is_idempotent(tmp_path: Path) -> None:
    database = tmp_path / ".ordergate" / "ordergate.db"
    for _ in range(2):
        result = ordergate("migrate", cwd=tmp_path)
        assert (result.returncode, result.stdout) == (0, f"The schema of {database} is current.\n")
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
    assert (
        error_line(result) == "there is no terminal to ask for a password; set ORDERGATE_PASSWORD"
    )


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


class Terminal:
    """A terminal: its screen and its keyboard."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.shown = ""

    def read_until(self, text: str) -> None:
        while text not in self.shown:
            self.shown += os.read(self._descriptor, 4096).decode()
        OUTPUT.add(self.shown)

    def type(self, line: str) -> None:
        os.write(self._descriptor, f"{line}\n".encode())


@contextmanager
def on_a_terminal(*arguments: str, cwd: Path, **settings: Any) -> Iterator[Terminal]:
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ordergate.entrypoints", *arguments],
        cwd=cwd,
        env=clean_environment(**settings),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    yield Terminal(main)
    os.close(main)
    assert process.wait(SECONDS) == 0


def test_terminal_asks_for_the_password_twice_and_hides_it(migrated: Path) -> None:
    with on_a_terminal("users", "add", "alice", cwd=migrated, **CHEAP) as terminal:
        for prompt in ("Password: ", "Repeat for confirmation: "):
            terminal.read_until(prompt)
            terminal.type(PASSWORD)
        terminal.read_until("Added user alice")
    assert PASSWORD not in terminal.shown


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
    assert error_line(result) == "set ORDERGATE_PASSWORD to the password that all users get"


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


def list_keys(folder: Path, **settings: Any) -> list[list[str]]:
    """Return the table of `keys list` without its head: kid, algorithm, status and since."""
    result = ordergate("keys", "list", cwd=folder, **settings)
    assert (result.returncode, result.stderr) == (0, "")
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["KID", "ALGORITHM", "STATUS", "SINCE"]
    return [row.split() for row in rows]


TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_key_passes_through_every_status(tmp_path: Path) -> None:
    assert list_keys(tmp_path) == []
    first = ordergate("keys", "new", "--algorithm", "ES256", cwd=tmp_path)
    ((old, algorithm, status, since),) = list_keys(tmp_path)
    assert (algorithm, status) == ("ES256", "signing")
    assert re.fullmatch(TIME, since)
    assert first.stdout == f"{old} signs.\n"

    result = ordergate("keys", "new", cwd=tmp_path)
    found = re.fullmatch(rf"(\S+) is published; it may sign from {TIME}\.\n", result.stdout)
    assert found
    new = found[1]
    assert [row[:3] for row in list_keys(tmp_path)] == [
        [old, "ES256", "signing"],
        [new, "EdDSA", "published"],
    ]

    early = error_line(ordergate("keys", "promote", new, cwd=tmp_path))
    assert re.fullmatch(
        rf"not every verifier may know {new} before {TIME}; wait, or promote it with --now", early
    )
    result = ordergate("keys", "promote", new, "--now", cwd=tmp_path)
    assert re.fullmatch(
        rf"{old} only verifies; its tokens have expired by {TIME}\.\n{new} signs\.\n",
        result.stdout,
    )
    early = error_line(ordergate("keys", "retire", old, cwd=tmp_path))
    assert re.fullmatch(
        rf"tokens that {old} signed are valid until {TIME}; "
        "wait, or end them immediately with --now",
        early,
    )
    result = ordergate("keys", "retire", old, "--now", cwd=tmp_path)
    assert result.stdout == f"{old} is removed.\n"
    assert [row[:3] for row in list_keys(tmp_path)] == [[new, "EdDSA", "signing"]]
    refused = error_line(ordergate("keys", "retire", new, "--now", cwd=tmp_path))
    assert refused == f"{new} signs; promote another key first"


def test_rotation_reports_its_steps_and_the_time_of_the_next(tmp_path: Path) -> None:
    result = ordergate("keys", "rotate", cwd=tmp_path)
    assert re.fullmatch(r"\S+ signs\.\nRun it again to begin a rotation\.\n", result.stdout)
    result = ordergate("keys", "rotate", cwd=tmp_path)
    assert re.fullmatch(
        rf"\S+ is published; it may sign from ({TIME})\.\nRun it again at \1 or later\.\n",
        result.stdout,
    )
    result = ordergate("keys", "rotate", cwd=tmp_path)
    assert re.fullmatch(rf"Nothing is due\. Run it again at {TIME} or later\.\n", result.stdout)
    assert ordergate("keys", "rotate", "--now", cwd=tmp_path).returncode == 0
    assert [status for _, _, status, _ in list_keys(tmp_path)] == ["verifying", "signing"]


def test_key_changes_are_audited_without_key_material(tmp_path: Path) -> None:
    result = ordergate("keys", "new", cwd=tmp_path, LOG_FORMAT="json")
    ((kid, *_),) = list_keys(tmp_path)
    (line,) = map(json.loads, result.stderr.splitlines())
    assert line == {
        "event": "key_rotated",
        "kid": kid,
        "status": "signing",
        "level": "info",
        "logger": "ordergate.audit",
        "timestamp": line["timestamp"],
    }
    secret = json.loads((tmp_path / ".ordergate" / "signing-keys.json").read_text())["keys"][0]["d"]
    listed = ordergate("keys", "list", cwd=tmp_path)
    assert secret not in result.stdout + result.stderr + listed.stdout


def test_key_of_a_pem_file_can_be_imported(tmp_path: Path) -> None:
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", "my.pem"]
    run_program(command, cwd=tmp_path, check=True, capture_output=True)
    ((kid, *_),) = list_keys(tmp_path, SIGNING_KEY_FILE="my.pem")
    result = ordergate("keys", "new", "--from", "my.pem", cwd=tmp_path)
    assert result.stdout == f"{kid} signs.\n"
    again = ordergate("keys", "new", "--from", "my.pem", cwd=tmp_path)
    assert error_line(again) == f"{kid} is there already; see `ordergate keys list`"
    missing = ordergate("keys", "new", "--from", "no.pem", cwd=tmp_path)
    assert error_line(missing) == "no.pem: cannot be read: No such file or directory"
    both = ordergate("keys", "new", "--from", "my.pem", "--algorithm", "ES256", cwd=tmp_path)
    assert "exclude each other" in error_line(both, status=2)


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


@pytest.mark.parametrize("kid", ["unknown", "-starts-with-a-dash", "--with-two"])
def test_missing_key_is_reported(tmp_path: Path, kid: str) -> None:
    for command in ("promote", "retire"):
        result = ordergate("keys", command, kid, cwd=tmp_path)
        expected = f"there is no key {kid}; `ordergate keys list` shows those there are"
        assert error_line(result) == expected


@pytest.mark.parametrize(
    "arguments", [["new"], ["promote", "x"], ["retire", "x"], ["rotate"]], ids=" ".join
)
def test_configured_key_is_listed_and_not_changed(tmp_path: Path, arguments: list[str]) -> None:
    secret = {"SIGNING_SECRET": "a secret of more than thirty-two bytes"}
    assert list_keys(tmp_path, **secret) == [["secret", "HS256", "signing", "-"]]
    result = ordergate("keys", *arguments, cwd=tmp_path, **secret)
    assert error_line(result) == (
        "ORDERGATE_SIGNING_SECRET holds the one key; unset it to keep keys in a file"
    )
    assert list(tmp_path.iterdir()) == []


def test_unusable_keys_are_reported(migrated: Path) -> None:
    file = migrated / ".ordergate" / "signing-keys.json"
    file.write_text('{"keys": [}')
    for arguments in (["serve", "--port", 0], ["keys", "list"], ["keys", "new"]):
        line = error_line(ordergate(*arguments, cwd=migrated))
        assert line.startswith("the signing keys .ordergate/signing-keys.json cannot be read: ")
    assert file.read_text() == '{"keys": [}'


def test_keys_are_refused_where_they_cannot_be_stored(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = ordergate("keys", "new", cwd=tmp_path, HOME="file")
    reason = "cannot be written: Not a directory"
    assert error_line(result).startswith("the signing keys file/signing-keys.json cannot be ")
    assert reason.split(": ")[1] in error_line(result)


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


def test_all_wrong_settings_are_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").touch()
    wrong = {"BCRYPT_COST": 99, "ISUER": "x", "SIGNING_SECRET": "hunter2", "LOG_LEVEL": "loud"}
    result = ordergate("serve", cwd=tmp_path, SIGNING_KEY_FILE="bad.pem", **wrong)
    line = error_line(result)
    assert "ORDERGATE_ISUER is not a setting; did you mean ORDERGATE_ISSUER?" in line
    assert "ORDERGATE_BCRYPT_COST: must be a whole number from 4 to 20" in line
    assert "ORDERGATE_LOG_LEVEL: must be one of debug, info, warning, error" in line
    assert "ORDERGATE_SIGNING_KEY_FILE and ORDERGATE_SIGNING_SECRET exclude each other" in line
    assert "ORDERGATE_SIGNING_KEY_FILE: this is not a PEM file with a private key" in line
    assert "ORDERGATE_SIGNING_SECRET: must have 32 bytes or more" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        ("", "this is not a PEM file with a private key"),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "this is not a PEM file",
        ),
    ],
)
def test_key_file_that_cannot_sign_is_reported(migrated: Path, pem: str, reason: str) -> None:
    (migrated / "bad.pem").write_text(pem)
    result = ordergate("serve", cwd=migrated, SIGNING_KEY_FILE="bad.pem")
    assert error_line(result).startswith(f"ORDERGATE_SIGNING_KEY_FILE: {reason}")


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("serve", "choose another with --port"),
        ("demo", "choose another: `make demo PORT={other}`, or `ordergate demo --port {other}`"),
    ],
)
def test_taken_port_error_names_the_port_option(migrated: Path, command: str, advice: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = ordergate(command, "--port", port, cwd=migrated)
    reason = f"cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert error_line(result) == f"{reason}; {advice.format(other=port + 1)}"


@pytest.mark.parametrize("host", ["a" * 300, "é..x", "nowhere.invalid"])
def test_invalid_host_is_reported(migrated: Path, host: str) -> None:
    result = ordergate("serve", "--host", host, "--port", 0, cwd=migrated)
    assert error_line(result).startswith(f"cannot listen on {host} port 0: ")


def test_foreign_host_is_reported(migrated: Path) -> None:
    result = ordergate("serve", "--host", "192.0.2.1", "--port", 0, cwd=migrated)
    assert error_line(result).startswith("cannot listen on 192.0.2.1 port 0: ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["serv"], "No such command 'serv'."),
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


def test_help_lists_the_commands(tmp_path: Path) -> None:
    result = ordergate("--help", cwd=tmp_path)
    assert result.returncode == 0
    for command in ("serve", "demo", "migrate", "users", "seed", "openapi", "keys"):
        assert re.search(rf"^\s+{command} ", result.stdout, re.MULTILINE)


def test_version_is_printed(tmp_path: Path) -> None:
    assert ordergate("--version", cwd=tmp_path).stdout == f"ordergate {version('ordergate')}\n"


def test_demo_migrates_seeds_and_prints_the_next_commands(tmp_path: Path, start: Start) -> None:
    for _ in range(2):  # the second time on what the first one made
        server = start("demo", cwd=tmp_path, DATABASE_URL="sqlite:///real.db")
        text = "".join(server.output)
        assert server.url in text
        sign_in = httpx.post(
            f"{server.url}/login", data={"username": "user1", "password": "ordergate-demo"}
        )
        headers = {"Authorization": f"Bearer {sign_in.json()['access_token']}"}
        assert httpx.get(f"{server.url}/order?id=1", headers=headers).status_code == 200
        assert httpx.get(f"{server.url}/order?id=2", headers=headers).status_code == 404
        assert f"{server.url}/docs" in text
        server.stop(signal.SIGINT)
    assert [path.name for path in tmp_path.iterdir()] == [".ordergate"]
    assert [path.name for path in (tmp_path / ".ordergate").iterdir()] == ["demo"]


def test_curl_lines_of_the_demo_work_unchanged(tmp_path: Path, start: Start) -> None:
    server = start("demo", cwd=tmp_path)
    lines = "".join(server.output)
    sign_in = re.search(r"TOKEN=.*?\n.*?\n", lines)
    requests = re.findall(r"curl -i (?:.*\\\n)*.*", lines)
    assert sign_in
    assert len(requests) == 3
    shell = run_program(
        ["bash", "-c", "\n".join([sign_in[0], *requests])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.findall(r"HTTP/1.1 (\d+)", shell.stdout) == ["200", "404", "201"]


def test_several_workers_share_one_port_and_one_key(migrated: Path, start: Start) -> None:
    assert (
        ordergate("users", "add", "alice", cwd=migrated, PASSWORD=PASSWORD, **CHEAP).returncode == 0
    )
    server = start("serve", "--workers", 2, cwd=migrated, **CHEAP)
    form = {"username": "alice", "password": PASSWORD}
    for _ in range(10):
        with httpx.Client(base_url=server.url, timeout=SECONDS) as fresh:
            token = fresh.post("/login", data=form).json()["access_token"]
        with httpx.Client(base_url=server.url, timeout=SECONDS) as fresh:
            read = fresh.get("/order?id=1", headers={"Authorization": f"Bearer {token}"})
            assert read.status_code == 404
