"""What the programs and logs of the whole suite have written."""

from pathlib import Path

import pytest

from tests.support import identity_harness as harness
from tests.support.captured_output import CAPTURED_OUTPUT, FORMS, SECRETS, find_secrets
from tests.support.command import NEW_PASSWORD, PASSWORD, ordergate


def test_captured_output_contains_no_secret() -> None:
    """It runs after all others that start servers and commands."""
    SECRETS.update({PASSWORD, NEW_PASSWORD, harness.PASSWORD, harness.NEW_PASSWORD})
    assert find_secrets() == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a refresh token", "ogr_" + "A" * 43),
        ("a signed token", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"),
        ("a hash of a password", "$2b$04$abcdefghijklmnopqrstuv0123456789"),
        ("a hash of a password", "$bcrypt-sha256$v=2,t=2b,r=4$abcdefghijklmnopqrstuv"),
        ("a private key", "-----BEGIN PRIVATE KEY-----"),
        ("a private key", '"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"'),
        ("a private key", "{'d': 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A'}"),
        ("a private key", r'{"m": "{\\"d\\": \\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\\"}"}'),
        ("a private key", '"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"'),
    ],
)
def test_secret_is_recognized_by_its_form(name: str, text: str) -> None:
    assert FORMS[name].search(f"before {text} after")


def test_output_of_a_command_is_captured(tmp_path: Path) -> None:
    ordergate("--version", cwd=tmp_path)
    assert any("ordergate 0." in text for text in CAPTURED_OUTPUT)
