"""ordergate keys."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.program.captured_output import run_program
from tests.support.program.command import error_line, ordergate


def list_keys(folder: Path, **settings: Any) -> list[list[str]]:
    """Return the table of `keys list` without its head.

    The columns are kid, algorithm, status and since.
    """
    result = ordergate("keys", "list", cwd=folder, **settings)
    assert (result.returncode, result.stderr) == (0, "")
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["KID", "ALGORITHM", "STATUS", "SINCE"]
    return [row.split() for row in rows]


def test_keys_are_listed_as_json(tmp_path: Path) -> None:
    assert json.loads(ordergate("keys", "list", "--json", cwd=tmp_path).stdout) == []
    ordergate("keys", "new", cwd=tmp_path)
    ((kid, algorithm, status, since),) = list_keys(tmp_path)
    assert json.loads(ordergate("keys", "list", "--json", cwd=tmp_path).stdout) == [
        {"kid": kid, "algorithm": algorithm, "status": status, "since": since}
    ]


TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_key_passes_through_every_status(tmp_path: Path) -> None:
    assert list_keys(tmp_path) == []
    first = ordergate("keys", "new", "--algorithm", "ES256", cwd=tmp_path)
    ((old, algorithm, status, since),) = list_keys(tmp_path)
    assert (algorithm, status) == ("ES256", "signing")
    assert re.fullmatch(TIME, since)
    assert first.stdout == f"{old} signs.\n"

    result = ordergate("keys", "new", "--algorithm", "EdDSA", cwd=tmp_path)
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


@pytest.mark.parametrize(
    ("first", "algorithm"), [((), "ES256"), (("--algorithm", "EdDSA"), "EdDSA")]
)
def test_new_keys_have_the_algorithm_of_the_signing_key(
    tmp_path: Path, first: tuple[str, ...], algorithm: str
) -> None:
    for arguments in (("new", *first), ("new",), ("rotate", "--now"), ("rotate", "--now")):
        assert ordergate("keys", *arguments, cwd=tmp_path).returncode == 0
    assert [row[1:3] for row in list_keys(tmp_path)] == [
        [algorithm, "verifying"],
        [algorithm, "verifying"],
        [algorithm, "signing"],
    ]


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


@pytest.mark.parametrize("kid", ["unknown", "-starts-with-a-dash", "--with-two"])
def test_missing_key_is_reported(tmp_path: Path, kid: str) -> None:
    for command in ("promote", "retire"):
        result = ordergate("keys", command, kid, cwd=tmp_path)
        expected = f"there is no key {kid}; `ordergate keys list` shows those there are"
        assert error_line(result) == expected
    assert list(tmp_path.iterdir()) == []


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
