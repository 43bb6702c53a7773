"""`ordergate doctor`: it finds faults, changes nothing, shows no secret."""

import json
from pathlib import Path
from typing import Any

import pytest

from ordergate.entrypoints.cli.runtime import make_command_container
from ordergate.entrypoints.config.environment import PREFIX
from ordergate.entrypoints.diagnosis.doctor import diagnose
from ordergate.entrypoints.diagnosis.finding import Status
from ordergate.entrypoints.factories.checked_settings import read_checked_settings
from tests.support.program.command import CHEAP, ordergate
from tests.support.storage.sqlite import execute
from tests.support.tokens.oidc_issuer import AUDIENCE, running_issuer

DATABASE = Path(".ordergate") / "ordergate.db"
KEYS = Path(".ordergate") / "signing-keys.json"


async def find(
    monkeypatch: pytest.MonkeyPatch, folder: Path, **settings: Any
) -> dict[str, tuple[Status, str]]:
    """Run the doctor in this process; return status and text."""
    monkeypatch.chdir(folder)
    for name, value in (CHEAP | settings).items():
        monkeypatch.setenv(PREFIX + name, str(value))
    findings = await diagnose(read_checked_settings(), make_command_container)
    assert "hunter2" not in repr(findings)
    return {
        each.check: (each.status, "; ".join(filter(None, (each.found, each.advice))))
        for each in findings
    }


def list_files(folder: Path) -> dict[Path, tuple[bytes, int, int]]:
    """Return the content, the mode and the time of each file."""
    return {
        path: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_doctor_of_a_sound_service_fails_nothing_and_changes_nothing(migrated: Path) -> None:
    assert ordergate("keys", "new", cwd=migrated).returncode == 0
    before = list_files(migrated)
    done = ordergate("doctor", cwd=migrated, **CHEAP)
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line[9:20].strip(): line for line in done.stdout.splitlines()}
    assert {name: line[:7].strip() for name, line in lines.items()} == {
        **dict.fromkeys(("settings", "files", "keys", "database", "schema", "integrity"), "ok"),
        "passwords": "warning",  # CHEAP is cheap
        **dict.fromkeys(("throttle", "issuer", "proxies"), "ok"),
    }
    assert lines["files"] == "ok       files        2 files, closed to other users"
    assert lines["schema"] == "ok       schema       the schema is current"
    assert "; set ORDERGATE_BCRYPT_COST to 10 or more" in lines["passwords"]
    assert list_files(migrated) == before


def test_doctor_of_a_new_folder_names_the_first_step_and_makes_nothing(tmp_path: Path) -> None:
    done = ordergate("doctor", "--json", cwd=tmp_path, **CHEAP)
    assert done.returncode == 1
    assert done.stderr == "ordergate: 1 of 8 checks failed\n"
    (schema,) = (each for each in json.loads(done.stdout) if each["check"] == "schema")
    assert schema == {
        "check": "schema",
        "status": "failed",
        "found": (
            "there is no database at .ordergate/ordergate.db; `ordergate migrate` makes one there"
        ),
        "advice": None,
    }
    assert list(tmp_path.iterdir()) == []


def test_doctor_names_settings_that_cannot_be_used_and_nothing_else(tmp_path: Path) -> None:
    wrong = {"ISUER": "x", "BCRYPT_COST": 99, "LOG_LEVEL": "loud"}
    done = ordergate("doctor", cwd=tmp_path, **wrong)
    assert done.returncode == 1
    assert done.stderr == ("ordergate: the settings cannot be used, so nothing else was checked\n")
    assert done.stdout.splitlines() == [
        "failed   settings     ORDERGATE_ISUER is not a setting; did you mean ORDERGATE_ISSUER?",
        "failed   settings     ORDERGATE_BCRYPT_COST: must be a whole number from 4 to 20",
        "failed   settings     ORDERGATE_LOG_LEVEL: must be one of debug, info, warning, error",
    ]


def test_doctor_shows_no_password_of_servers_that_it_cannot_reach(tmp_path: Path) -> None:
    done = ordergate(
        "doctor",
        "--json",
        cwd=tmp_path,
        DATABASE_URL="postgresql://shop:hunter2@127.0.0.1:1/orders",
        THROTTLE_URL="redis://shop:hunter2@127.0.0.1:1/0",
        **CHEAP,
    )
    assert done.stderr == "ordergate: 2 of 8 checks failed\n"
    assert "hunter2" not in done.stdout
    found = {each["check"]: each["found"] for each in json.loads(done.stdout)}
    assert found["database"] == ("PostgreSQL: the connection was refused at 127.0.0.1:1/orders")
    assert found["throttle"].startswith("ORDERGATE_THROTTLE_URL cannot be used (no connection)")


async def test_unknown_name_is_a_failure_beside_the_other_checks(
    monkeypatch: pytest.MonkeyPatch, migrated: Path
) -> None:
    found = await find(monkeypatch, migrated, WORKRS=2)
    assert found["settings"] == (
        Status.FAILED,
        "ORDERGATE_WORKRS is not a setting; did you mean ORDERGATE_WORKERS?",
    )
    assert found["schema"][0] is Status.OK


async def test_old_schema_is_a_failure(monkeypatch: pytest.MonkeyPatch, migrated: Path) -> None:
    execute(migrated / DATABASE, "UPDATE ordergate_version SET version_num = '0006'")
    found = await find(monkeypatch, migrated)
    assert found["schema"] == (
        Status.FAILED,
        "the database's schema is not current; run `ordergate migrate`",
    )
    assert found["database"][0] is Status.OK


async def test_files_that_every_user_may_read_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, migrated: Path
) -> None:
    (migrated / DATABASE).chmod(0o604)
    (migrated / DATABASE.parent).chmod(0o707)
    secret = migrated / "secret"
    secret.write_text("a secret of thirty-two bytes or more")
    secret.chmod(0o440)
    found = await find(monkeypatch, migrated, SIGNING_SECRET_FILE=secret)
    folder = migrated / DATABASE.parent
    assert found["files"] == (
        Status.WARNING,
        f"every user can replace files in {folder}; run `chmod o-w {folder}`",
    )
    folder.chmod(0o700)
    secret.chmod(0o604)
    findings = await diagnose(read_checked_settings(), make_command_container)
    assert [each.advice for each in findings if each.check == "files"] == [
        f"run `chmod o= {migrated / DATABASE}`",
        f"run `chmod o= {secret}`",
    ]


async def test_damaged_keys_and_database_are_failures_beside_the_other_checks(
    monkeypatch: pytest.MonkeyPatch, migrated: Path
) -> None:
    (migrated / KEYS).write_text('{"keys": "hunter2"}')
    (migrated / KEYS).chmod(0o600)
    (migrated / DATABASE).write_bytes(b"no database" * 100)
    found = await find(monkeypatch, migrated)
    status, text = found["keys"]
    assert status is Status.FAILED
    assert text.endswith("signing-keys.json cannot be read: keys is not a list of objects")
    assert found["database"][0] is found["integrity"][0] is Status.FAILED
    assert "restore a backup with `ordergate restore --replace FILE`" in found["database"][1]
    assert found["throttle"][0] is Status.OK


async def test_keys_of_another_issuer_are_fetched(
    monkeypatch: pytest.MonkeyPatch, migrated: Path
) -> None:
    with running_issuer() as issuer:
        settings = {"JWKS_URL": issuer.url, "ISSUER": issuer.name, "AUDIENCE": AUDIENCE}
        found = await find(monkeypatch, migrated, **settings)
        assert found["issuer"][0] is Status.OK
        assert found["issuer"][1].startswith(f"{issuer.name} publishes 1 key, fetched in ")
        issuer.status = 500
        found = await find(monkeypatch, migrated, **settings)
        status, text = found["issuer"]
        assert status is Status.FAILED
        assert text.startswith(f"{issuer.name}: the keys of the issuer: the status is 500; correct")
        issuer.status, issuer.keys = 200, []
        found = await find(monkeypatch, migrated, **settings)
        assert found["issuer"][0] is Status.FAILED


async def test_undeclared_scope_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, migrated: Path
) -> None:
    settings = {
        "JWKS_URL": "http://127.0.0.1:1/jwks",
        "ISSUER": "https://id.example",
        "AUDIENCE": AUDIENCE,
        "DEFAULT_SCOPE": "orders:raed",
    }
    found = await find(monkeypatch, migrated, **settings)
    assert found["issuer"][0] is Status.FAILED
    assert "the scope orders:raed is not declared" in found["issuer"][1]
