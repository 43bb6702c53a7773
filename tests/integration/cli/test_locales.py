"""Commands read and print UTF-8 in every locale."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program.captured_output import run_program
from tests.support.program.command import PASSWORD, SECONDS, clean_environment

LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0"},
    "POSIX": {"LANG": "POSIX", "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Latin-1": {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"},
    "Latin-5": {"LC_ALL": "tr_TR.ISO-8859-9", "PYTHONUTF8": "0"},
    "UTF-8": {"LC_ALL": "C.UTF-8"},
}


@pytest.fixture(params=list(LOCALES))
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return an environment with a locale, or C if it is missing."""
    inherited = {
        name: value
        for name, value in clean_environment(BCRYPT_COST=4).items()
        if not name.startswith(("LC_", "LANG", "PYTHON"))
    }
    return inherited | LOCALES[request.param]


def run(
    *arguments: str, cwd: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    return run_program(
        [sys.executable, "-m", "ordergate.entrypoints", *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS * 2,
    )


def test_openapi_prints_the_same_utf_8_in_every_locale(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    result = run("openapi", cwd=tmp_path, environment=environment)
    assert (result.returncode, result.stderr) == (0, b"")
    document = json.loads(result.stdout.decode("utf-8"))
    assert "…" in json.dumps(document, ensure_ascii=False)


def test_account_is_added_by_its_name_and_password_in_every_locale(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    assert run("migrate", cwd=tmp_path, environment=environment).returncode == 0
    account = {"ORDERGATE_PASSWORD": f"{PASSWORD} für Bücher"}
    result = run("users", "add", "zoë", cwd=tmp_path, environment=environment | account)
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode("utf-8") == "Added user zoë with id 1.\n"


@pytest.mark.parametrize(
    ("arguments", "settings", "named"),
    [
        (["backup", "/nöwhere/プ.db"], {}, "/nöwhere/プ.db"),
        (["keys", "list"], {"ORDERGATE_FÖO": "1"}, "ORDERGATE_FÖO"),
        (["nö"], {}, "nö"),
        (["migrate"], {"ORDERGATE_DATABASE_URL": "sqlite:////dev/null/プ.db"}, "/dev/null/プ.db"),
    ],
    ids=["file", "setting", "command", "database"],
)
def test_error_names_what_is_wrong_in_every_locale(
    tmp_path: Path,
    environment: dict[str, str],
    arguments: list[str],
    settings: dict[str, str],
    named: str,
) -> None:
    first = run("migrate", cwd=tmp_path, environment=environment)
    assert first.returncode == 0
    result = run(*arguments, cwd=tmp_path, environment=environment | settings)
    assert result.returncode != 0
    assert named in result.stderr.decode("utf-8")
    assert b"Traceback" not in result.stderr


def test_password_is_asked_for_in_every_locale(tmp_path: Path, environment: dict[str, str]) -> None:
    assert run("migrate", cwd=tmp_path, environment=environment).returncode == 0
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        arguments = [sys.executable, "-m", "ordergate.entrypoints", "users", "add", "zoë"]
        os.execve(sys.executable, arguments, environment)
    shown = b""
    for prompt in (b"Password: ", b"Repeat for confirmation: "):
        while not shown.endswith(prompt):
            assert select.select([terminal], [], [], SECONDS)[0], shown
            shown += os.read(terminal, 1024)
        os.write(terminal, f"{PASSWORD} für Bücher\n".encode())
    try:
        while piece := os.read(terminal, 1024):
            shown += piece
    except OSError:  # Linux reports the end of a terminal so
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    assert "Added user zoë with id 1." in shown.decode("utf-8")
