"""A diagnosis of the settings and of all that they configure."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from ordergate.application.errors import ApplicationError
from ordergate.domain.errors import DomainError
from ordergate.entrypoints.config.loading import ReadSettings, SettingsError
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.checks.database import (
    DATABASE,
    ORDERS,
    check_database,
    check_separate_orders,
)
from ordergate.entrypoints.diagnosis.checks.files import check_files
from ordergate.entrypoints.diagnosis.checks.integrity import check_integrity
from ordergate.entrypoints.diagnosis.checks.issuer import check_issuer
from ordergate.entrypoints.diagnosis.checks.keys import check_keys
from ordergate.entrypoints.diagnosis.checks.listening import check_listening
from ordergate.entrypoints.diagnosis.checks.passwords import check_passwords
from ordergate.entrypoints.diagnosis.checks.proxies import check_proxies
from ordergate.entrypoints.diagnosis.checks.throttle import check_throttle
from ordergate.entrypoints.diagnosis.checks.tls import check_tls
from ordergate.entrypoints.diagnosis.finding import Finding, report_failure, report_ok

SETTINGS = "settings"


class Check(NamedTuple):
    """A check with its name, under which its failure is reported."""

    name: str
    find: Callable[[Container], Awaitable[Sequence[Finding]]]


CHECKS = (
    Check("files", check_files),
    Check("keys", check_keys),
    Check(DATABASE, check_database),
    Check(ORDERS, check_separate_orders),
    Check("integrity", check_integrity),
    Check("passwords", check_passwords),
    Check("throttle", check_throttle),
    Check("issuer", check_issuer),
    Check("proxies", check_proxies),
    Check("listening", check_listening),
    Check("tls", check_tls),
)


async def diagnose(
    settings: ReadSettings, make_container: Callable[[Settings], Container]
) -> Sequence[Finding]:
    """Return the findings of every check.

    If a setting cannot be used, they are those of the settings alone.
    """
    findings = [report_failure(SETTINGS, problem) for problem in settings.problems]
    if settings.usable is None:
        return findings
    if not findings:
        given, every = len(settings.usable.model_fields_set), len(Settings.model_fields)
        found = f"{given} of {every} are set, and all are valid; `ordergate settings` shows them"
        findings.append(report_ok(SETTINGS, found))
    with _report_errors("container", findings):
        container = make_container(settings.usable)
        findings += await run_checks(CHECKS, container)
    return findings


async def run_checks(checks: Iterable[Check], container: Container) -> list[Finding]:
    """Run one check after the other, also after one has raised."""
    findings: list[Finding] = []
    for check in checks:
        with _report_errors(check.name, findings):
            findings += await check.find(container)
    return findings


@contextmanager
def _report_errors(check: str, findings: list[Finding]) -> Iterator[None]:
    """Report an error as a failure, also one of an adopter's code."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the other checks are wanted all the more
        findings += [report_failure(check, reason) for reason in _explain(error)]


def _explain(error: Exception) -> list[str]:
    """Describe an error; the text of an unknown one may have secrets."""
    match error:
        case SettingsError():
            return error.problems
        case ApplicationError() | DomainError():
            return [str(error) or type(error).__name__]
        case OSError() if error.strerror:
            return [f"{error.filename or 'the system refused'}: {error.strerror}"]
        case _:
            return [f"the check ended with {type(error).__name__}"]
