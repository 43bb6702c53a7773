"""`ordergate settings` and `doctor`: the configuration, and its checks."""

import asyncio
import logging
from collections.abc import Iterable

import typer

from ordergate.entrypoints.cli.listing import AsJson, print_list
from ordergate.entrypoints.cli.runtime import Failure, make_command_container
from ordergate.entrypoints.diagnosis.doctor import diagnose
from ordergate.entrypoints.diagnosis.finding import Finding, Status
from ordergate.entrypoints.diagnosis.settings_in_force import list_settings_in_force
from ordergate.entrypoints.factories.checked_settings import (
    load_checked_settings,
    read_checked_settings,
)

diagnoses = typer.Typer()


@diagnoses.command("settings")
def show_settings(*, as_json: AsJson = False) -> None:
    """Show every setting in force and its source.

    Secrets are hidden.
    """
    print_list(
        ("name", "source", "value"),
        [
            (each.variable, each.source, each.value if as_json else each.text)
            for each in list_settings_in_force(load_checked_settings())
        ],
        as_json=as_json,
    )


@diagnoses.command()
def doctor(*, as_json: AsJson = False) -> None:
    """Check settings, files, keys and database; change nothing.

    A line for each check says ok, warning or failed, and what to do. The exit status is 1 if a
    check failed.
    """
    logging.disable()  # the findings have what adapters would log
    settings = read_checked_settings()
    findings = asyncio.run(diagnose(settings, make_command_container))
    if as_json:
        rows = [(each.check, each.status, each.found, each.advice) for each in findings]
        print_list(("check", "status", "found", "advice"), rows, as_json=True)
    else:
        _print(findings)
    failures = sum(each.status is Status.FAILED for each in findings)
    if settings.usable is None:
        raise Failure("the settings cannot be used, so nothing else was checked")
    if failures:
        raise Failure(f"{failures} of {len(findings)} checks failed")


def _print(findings: Iterable[Finding]) -> None:
    for each in findings:
        text = each.found if each.advice is None else f"{each.found}; {each.advice}"
        line = text if text.isprintable() else repr(text)[1:-1]
        typer.echo(f"{each.status:<7}  {each.check:<11}  {line}")
