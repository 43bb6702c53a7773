"""Secrets in files that `ORDERGATE_…_FILE` names."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ordergate.entrypoints.config.environment import PREFIX
from ordergate.entrypoints.config.loading import (
    SettingsError,
    list_secret_names,
    read_given_password,
)
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from tests.support.program.command import PASSWORD, not_as_root, ordergate
from tests.support.program.server import Start

SECRET = "a secret of more than thirty-two bytes"
VALUES = {
    "DATABASE_URL": "sqlite:////srv/orders.db",
    "READ_DATABASE_URL": "postgresql://name:hunter2@db2/orders",
    "SIGNING_SECRET": SECRET,
    "THROTTLE_URL": "redis://name:hunter2@localhost/0",
    "OUTGOING_PROXY": "http://name:hunter2@proxy.example:3128",
    "PASSWORD": "correct horse battery staple",
}

ALSO_NEEDED = {
    "READ_DATABASE_URL": {"DATABASE_URL": "postgresql://name:hunter2@db/orders"},
    "OUTGOING_PROXY": {
        "IDENTITY_PROVIDER": "oidc",
        "ISSUER": "https://id.example",
        "AUDIENCE": "orders",
    },
}


def test_every_secret_may_be_in_a_file() -> None:
    assert set(list_secret_names()) == VALUES.keys()


def read_secret(name: str) -> str | None:
    if name == "PASSWORD":
        return read_given_password()
    secret = getattr(load_checked_settings(), name.lower())
    value: str | None = secret and secret.get_secret_value()
    return value


def settings_error(name: str) -> str:
    with pytest.raises(SettingsError) as refusal:
        read_secret(name)
    (problem,) = refusal.value.problems
    return problem


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("name", VALUES)
def test_secret_is_read_from_its_file_without_one_newline(
    name: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(f"{VALUES[name]}{end}".encode())
    monkeypatch.setenv(f"{PREFIX}{name}_FILE", str(file))
    for other, value in ALSO_NEEDED.get(name, {}).items():
        monkeypatch.setenv(PREFIX + other, value)
    assert read_secret(name) == VALUES[name]


def test_secret_is_read_through_the_links_of_kubernetes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "..2026_11_28").mkdir()
    (tmp_path / "..2026_11_28" / "secret").write_text(SECRET)
    (tmp_path / "..data").symlink_to("..2026_11_28")
    (tmp_path / "secret").symlink_to("..data/secret")
    monkeypatch.setenv("ORDERGATE_SIGNING_SECRET_FILE", str(tmp_path / "secret"))
    assert read_secret("SIGNING_SECRET") == SECRET


@pytest.mark.parametrize("name", VALUES)
def test_secret_and_its_file_exclude_each_other(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(VALUES[name])
    monkeypatch.setenv(f"{PREFIX}{name}", VALUES[name])
    monkeypatch.setenv(f"{PREFIX}{name}_FILE", str(tmp_path / "secret"))
    assert settings_error(name) == f"{PREFIX}{name} and {PREFIX}{name}_FILE exclude each other"


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (b"", "is blank"),
        (b"\n", "is blank"),
        (b" \t\n", "is blank"),
        (b"\xffhunter2", "is not UTF-8"),
        (b"hunter2" * 10_000, "has more than 65536 bytes"),
    ],
)
def test_unusable_content_is_refused_and_not_repeated(
    name: str, content: bytes, flaw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    monkeypatch.setenv(f"{PREFIX}{name}_FILE", str(file))
    assert settings_error(name) == f"{PREFIX}{name}_FILE: {file} {flaw}"


def test_error_of_a_secret_in_a_file_names_the_file_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("hunter2\0\n")
    for name in ("DATABASE_URL", "SIGNING_SECRET", "THROTTLE_URL"):
        monkeypatch.setenv(f"{PREFIX}{name}_FILE", str(tmp_path / "secret"))
    with pytest.raises(SettingsError) as refusal:
        load_checked_settings()
    assert refusal.value.problems == [
        f"ORDERGATE_{name}_FILE: contains a NUL (U+0000)"
        for name in ("DATABASE_URL", "SIGNING_SECRET", "THROTTLE_URL")
    ]


@pytest.mark.parametrize("name", VALUES)
def test_invalid_secret_file_is_refused_with_a_reason(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    variable = f"{PREFIX}{name}_FILE"
    for path, flaw in {
        tmp_path / "missing": f"cannot read {tmp_path}/missing: No such file or directory",
        tmp_path: f"{tmp_path} is not a regular file",
        tmp_path / "pipe": f"{tmp_path}/pipe is not a regular file",
        f"{tmp_path}/secret\r": "the path contains a carriage return (U+000D)",
        f'"{tmp_path}/secret"': "the path is between quotation marks (U+0022); leave them out",
        "hunter2": "there is no such file; it must be the path of a file that holds the value",
        VALUES[name]: "there is no such file; it must be the path of a file that holds the value",
    }.items():
        monkeypatch.setenv(variable, str(path))
        assert settings_error(name) == f"{variable}: {flaw}"
    monkeypatch.setenv(variable, " ")
    assert settings_error(name).startswith(f"{variable} is blank; ")


@not_as_root
def test_unreadable_secret_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0)
    monkeypatch.setenv("ORDERGATE_SIGNING_SECRET_FILE", str(file))
    assert settings_error("SIGNING_SECRET").startswith(
        f"ORDERGATE_SIGNING_SECRET_FILE: cannot read {file}: Permission denied; {file} is owned by "
    )


def test_service_runs_on_secrets_in_files(tmp_path: Path, start: Start) -> None:
    files = {"DATABASE_URL": f"sqlite:///{tmp_path}/orders.db", "SIGNING_SECRET": SECRET}
    for name, value in (files | {"PASSWORD": PASSWORD}).items():
        (tmp_path / name).write_text(f"{value}\n")
    settings = {f"{name}_FILE": tmp_path / name for name in files}
    password = {"PASSWORD_FILE": tmp_path / "PASSWORD", "BCRYPT_COST": 4}
    assert ordergate("migrate", cwd=tmp_path, **settings).returncode == 0
    added = ordergate("users", "add", "alice", cwd=tmp_path, **settings, **password)
    assert added.stdout == "Added user alice with id 1.\n"
    assert not (tmp_path / ".ordergate").exists()
    with closing(sqlite3.connect(tmp_path / "orders.db")) as database:
        assert database.execute("SELECT count(*) FROM users").fetchone() == (1,)
    start("serve", "--workers", 2, cwd=tmp_path, **settings)


def test_blank_password_adds_no_user_and_asks_for_none(tmp_path: Path) -> None:
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    for arguments in (["users", "add", "alice"], ["seed", "--users", 1, "--orders", 1]):
        result = ordergate(*arguments, cwd=tmp_path, PASSWORD="")
        assert result.returncode == 1
        assert result.stderr.startswith("ordergate: ORDERGATE_PASSWORD is blank; ")
