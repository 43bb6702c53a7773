"""Check the whole run: no secret in output, no promised test skipped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program.captured_output import FORMS, MAX_SECONDS, OUTPUT
from tests.support.program.command import ordergate
from tests.support.programs import REQUIRED
from tests.support.security_promises import promised_tests

ROOT = Path(__file__).parents[3]

LEAK = """
import sys
from tests.support.program.captured_output import run_program

def test_program_writes_a_token():
    run_program([sys.executable, "-c", "print('ogr_' + 'A' * 43)"], capture_output=True)

def test_later_program_writes_nothing():
    run_program([sys.executable, "-c", ""], capture_output=True)
"""
SKIP = """
import pytest

@pytest.mark.skip(reason="not today")
def {name}():
    pass

def test_another_test():
    pass
"""

MISSING = """
from tests.support.programs import find_program

def test_program():
    find_program("missing")
"""


def run_tests(folder: Path, plugin: str, code: str, *options: str) -> tuple[int, str]:
    """Run a file of tests as a suite of its own."""
    file = folder / "test_file.py"
    file.write_text(code)
    arguments = [
        "-c",
        os.devnull,
        "--rootdir",
        folder,
        "-p",
        f"tests.support.{plugin}",
        *options,
        file,
    ]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=MAX_SECONDS,
    )
    return result.returncode, result.stdout


@pytest.mark.parametrize("workers", [0, 2])
def test_run_fails_when_any_test_writes_a_secret(tmp_path: Path, workers: int) -> None:
    status, report = run_tests(tmp_path, "program.captured_output", LEAK, "-n", str(workers))
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "the output of tests contains secrets: a refresh token: ogr_" in report


@pytest.mark.parametrize("workers", [0, 2])
def test_run_fails_when_a_promised_test_is_skipped(tmp_path: Path, workers: int) -> None:
    _, name = promised_tests()[0]
    code = SKIP.format(name=name)
    status, report = run_tests(tmp_path, "security_promises", code, "-n", str(workers))
    assert status == pytest.ExitCode.TESTS_FAILED
    assert f"Skipped tests of docs/security.md: {name}" in report


@pytest.mark.parametrize("workers", [0, 2])
def test_run_succeeds_when_another_test_is_skipped(tmp_path: Path, workers: int) -> None:
    code = SKIP.format(name="test_without_a_promise")
    status, report = run_tests(tmp_path, "security_promises", code, "-n", str(workers))
    assert status == pytest.ExitCode.OK, report


@pytest.mark.parametrize(
    ("required", "outcome"),
    [("", "1 skipped"), ("nginx,apache2", "1 skipped"), ("nginx,missing", "1 failed")],
)
def test_missing_program_skips_its_test_unless_it_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, required: str, outcome: str
) -> None:
    monkeypatch.setenv(REQUIRED, required)
    _, report = run_tests(tmp_path, "programs", MISSING)
    assert outcome in report


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
    assert any("ordergate 0." in text for text in OUTPUT.texts)
