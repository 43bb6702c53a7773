"""Lists on standard output: a table for people, or JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated

import typer
from typer.models import OptionInfo

from ordergate.entrypoints.cli.runtime import make_number_parser

AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON array of objects.")]


def limit_option(most: int) -> OptionInfo:
    """Make the option for the number of rows."""
    option: OptionInfo = typer.Option(
        "--limit",
        parser=make_number_parser(1, most),
        metavar="NUMBER",
        help=f"At most so many, up to {most}.",
    )
    return option


def print_list(names: Sequence[str], rows: Iterable[Sequence[object]], *, as_json: bool) -> None:
    """Print rows under their names.

    JSON has the names as members, and `null` for no value.
    """
    texts = [[_to_json(value) for value in row] for row in rows]
    if as_json:
        objects = [dict(zip(names, row, strict=True)) for row in texts]
        typer.echo(json.dumps(objects, indent=2, ensure_ascii=False))
        return
    table = [[name.upper() for name in names], *([_show(text) for text in row] for row in texts)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        typer.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def print_record(record: Mapping[str, object], *, as_json: bool) -> None:
    """Print the members of one thing as lines or a JSON object."""
    values = {name: _to_json(value) for name, value in record.items()}
    if as_json:
        typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
        return
    width = max(map(len, values))
    for name, value in values.items():
        typer.echo(f"{name.upper():<{width}}  {_show(value)}")


def write_time(moment: datetime | None) -> str:
    """Write a time in UTC to the second (RFC 3339), or a dash."""
    return _show(_to_json(moment))


def _to_json(value: object) -> object:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value


def _show(value: object) -> str:
    return "-" if value is None else str(value)
