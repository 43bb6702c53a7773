"""`ordergate settings`: every setting in force, and its source."""

import json
import re
from pathlib import Path

import pytest

from ordergate.entrypoints.diagnosis.settings_in_force import list_settings_in_force
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from tests.support.program.captured_output import run_program
from tests.support.program.command import ordergate

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_settings_are_shown_in_the_order_of_their_page(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret of thirty-two bytes or more\n")
    done = ordergate("settings", cwd=tmp_path, SIGNING_SECRET_FILE=secret, WORKERS=2)
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = [re.split("  +", line) for line in done.stdout.splitlines()]
    assert head == ["NAME", "SOURCE", "VALUE"]
    assert [name for name, _, _ in rows] == re.findall(
        r"^\| `(ORDERGATE_\w+)` \|", PAGE.read_text(), re.MULTILINE
    )
    given = {name: rest for name, *rest in rows if rest[0] != "default"}
    assert given == {
        "ORDERGATE_SIGNING_SECRET": [f"file {secret}", "***"],
        "ORDERGATE_WORKERS": ["environment", "2"],
    }
    assert sorted(tmp_path.iterdir()) == [secret]


def test_settings_as_json_have_values_and_no_secret(tmp_path: Path) -> None:
    url = "postgresql://shop:hunter2@db.example/orders"
    done = ordergate("settings", "--json", cwd=tmp_path, DATABASE_URL=url, SIGN_UP="false")
    assert "hunter2" not in done.stdout + done.stderr
    given = [each for each in json.loads(done.stdout) if each["source"] != "default"]
    assert given == [
        {
            "name": "ORDERGATE_DATABASE_URL",
            "source": "environment",
            "value": "postgresql://***@db.example:5432/orders",
        },
        {"name": "ORDERGATE_SIGN_UP", "source": "environment", "value": False},
    ]


def test_file_of_a_signing_key_is_a_setting_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "key.pem"
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", file]
    run_program(command, check=True, capture_output=True)
    monkeypatch.setenv("ORDERGATE_SIGNING_KEY_FILE", str(file))
    (key,) = (
        each
        for each in list_settings_in_force(load_checked_settings())
        if each.variable == "ORDERGATE_SIGNING_KEY_FILE"
    )
    assert (key.source, key.value, key.text) == ("environment", str(file), str(file))
