"""Capture the output of programs and logs, and find secrets in it."""

import logging
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

MAX_SECONDS = 600
"""After this time a program hangs, also on a slow machine."""

FORMS = {
    "a refresh token": re.compile(r"ogr_[A-Za-z0-9_-]{43}"),
    "a signed token": re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{8,}"),
    "a hash of a password": re.compile(r"\$(2[aby]|bcrypt-sha256)\$\S{20,}"),
    "a private key": re.compile(
        r"""PRIVATE KEY-----|["']d\\*["']\s*:\s*\\*["'][A-Za-z0-9_-]{20,}"""
    ),
}


@dataclass
class CapturedOutput:
    """The output of this process and its programs, and their secrets.

    Passwords and keys are known by their text; tokens and hashes by their form.
    """

    texts: list[str] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    def add(self, *texts: str | bytes | None) -> None:
        self.texts += [
            text.decode(errors="replace") if isinstance(text, bytes) else text or ""
            for text in texts
        ]

    def find_secrets(self) -> list[str]:
        """List each secret in the output, with the text before it."""
        output = "\n".join(self.texts)
        known = [f"{secret!r}" for secret in self.secrets if secret in output]
        formed = [
            f"{name}: {output[max(0, hit.start() - 200) : hit.end()]}"
            for name, form in FORMS.items()
            for hit in form.finditer(output)
        ]
        return known + formed


OUTPUT = CapturedOutput()
"""Each process has its own, and so has each worker of a parallel run."""


def run_program(
    arguments: list[Any], *, check: bool = False, timeout: float = MAX_SECONDS, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run a program as `subprocess.run` does, and capture its output."""
    result = subprocess.run(arguments, check=False, timeout=timeout, **options)
    OUTPUT.add(result.stdout, result.stderr)
    if check:
        result.check_returncode()
    return result


class _LogCollector(logging.Handler):
    """Capture log records with all their attributes."""

    def emit(self, record: logging.LogRecord) -> None:
        OUTPUT.add(f"{record.getMessage()} {record.__dict__}")


@pytest.fixture(scope="session", autouse=True)
def captured_output() -> Iterator[CapturedOutput]:
    """Capture the log, and fail the run if output contains a secret.

    It is set up first and torn down last, so that output of the servers of a run counts too.
    """
    collector = _LogCollector()
    logging.getLogger("ordergate").setLevel(logging.DEBUG)
    logging.getLogger().addHandler(collector)
    yield OUTPUT
    logging.getLogger().removeHandler(collector)
    if secrets := OUTPUT.find_secrets():
        pytest.fail("the output of tests contains secrets: " + "; ".join(secrets), pytrace=False)
