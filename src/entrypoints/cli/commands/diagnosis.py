"""`ordergate settings`: what a service runs with."""

import typer

from ordergate.entrypoints.cli.listing import AsJson, print_list
from ordergate.entrypoints.diagnosis.settings_in_force import list_settings_in_force
from ordergate.entrypoints.factories.checked_settings import load_checked_settings

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
