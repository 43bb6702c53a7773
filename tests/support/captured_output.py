"""All that programs and logs of the whole suite write, and what must be in none of it."""

import logging
import re
from collections.abc import Callable
from typing import Any

CAPTURED_OUTPUT: list[str] = []
SECRETS: set[str] = set()
"""Passwords and keys by their text; tokens and hashes are known by their form."""

FORMS = {
    "a refresh token": re.compile(r"ogr_[A-Za-z0-9_-]{43}"),
    "a signed token": re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{8,}"),
    "a hash of a password": re.compile(r"\$(2[aby]|bcrypt-sha256)\$\S{20,}"),
    "a private key": re.compile(
        r"""PRIVATE KEY-----|["']d\\*["']\s*:\s*\\*["'][A-Za-z0-9_-]{20,}"""
    ),
}


class Collector(logging.Handler):
    """Keeps what is logged in this process, with everything that goes beside the message."""

    def emit(self, record: logging.LogRecord) -> None:
        CAPTURED_OUTPUT.append(f"{record.getMessage()} {record.__dict__}")


def capture_run(run: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `subprocess.run`, so that what a program wrote is kept."""

    def collect(*arguments: Any, **options: Any) -> Any:
        done = run(*arguments, **options)
        CAPTURED_OUTPUT.extend(
            text.decode(errors="replace") if isinstance(text, bytes) else text or ""
            for text in (done.stdout, done.stderr)
        )
        return done

    return collect


def find_secrets() -> list[str]:
    """Name what was written and should not have been, and where."""
    everything = "\n".join(CAPTURED_OUTPUT)
    known = [f"{secret!r}" for secret in SECRETS if secret in everything]
    formed = [
        f"{name}: {everything[max(0, hit.start() - 200) : hit.end()]}"
        for name, form in FORMS.items()
        for hit in form.finditer(everything)
    ]
    return known + formed
