"""What a check finds: ok, a warning or a failure."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The outcome of a check.

    After a failure, something that is configured does not work. After a warning, it works, but with
    a risk.
    """

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a diagnosis, without secrets.

    `check` names the subject, `found` is what holds, and `advice` is what to do, if anything.
    """

    check: str
    status: Status
    found: str
    advice: str | None = None


def report_ok(check: str, found: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(check, Status.OK, found)


def report_warning(check: str, found: str, advice: str) -> Finding:
    """Return a finding about a risk, with what removes it."""
    return Finding(check, Status.WARNING, found, advice)


def report_failure(check: str, found: str, advice: str | None = None) -> Finding:
    """Return a finding about what does not work.

    `found` may end with the advice.
    """
    return Finding(check, Status.FAILED, found, advice)


def write_count(number: int, noun: str) -> str:
    """Write a number of things, which have a regular plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_WITH_TENTHS = 10
"""Durations below this many milliseconds have one decimal."""


def write_milliseconds(seconds: float) -> str:
    """Write a duration, with a tenth below 10 ms."""
    milliseconds = seconds * 1_000
    return f"{milliseconds:.{1 if milliseconds < _WITH_TENTHS else 0}f} ms"
