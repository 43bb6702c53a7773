"""The `ordergate` command.

Every mistake is a line on standard error that says what to do, and an exit status: 1 for a
failure, 2 for a mistake in the command line, 128 + the number of a signal: 130 after Ctrl-C, 143
after SIGTERM, 129 after SIGHUP. A server that has drained exits with 0.
"""

import errno
import os
import re
import sys
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated

import typer

from ordergate.application.errors import (
    ApplicationError,
    StorageNotEmpty,
    StorageUnavailable,
    UsernameTaken,
)
from ordergate.domain.errors import DomainError
from ordergate.entrypoints.cli.commands import backup as cli_backup
from ordergate.entrypoints.cli.commands import diagnosis as cli_diagnosis
from ordergate.entrypoints.cli.commands import health as cli_health
from ordergate.entrypoints.cli.commands import keys as cli_keys
from ordergate.entrypoints.cli.commands import orders as cli_orders
from ordergate.entrypoints.cli.commands import serving as cli_serving
from ordergate.entrypoints.cli.commands import sessions as cli_sessions
from ordergate.entrypoints.cli.commands import storage as cli_storage
from ordergate.entrypoints.cli.commands import tokens as cli_tokens
from ordergate.entrypoints.cli.commands import users as cli_users
from ordergate.entrypoints.cli.runtime import Failure
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.server.listening import CannotListen

_INTERRUPTED = 130
_OPTION_AS_COMMAND = re.compile(r"(No such command '(help|version)'\.).*")
_UNWRITABLE = {errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}
"""Without a file name, these errors are about standard output: adapters name their files."""

cli = typer.Typer(
    name="ordergate",
    help="An order API that knows who is asking and which orders are theirs.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
cli.add_typer(cli_serving.servers)
cli.add_typer(cli_health.health)
cli.add_typer(cli_users.users, name="users")
cli.add_typer(cli_sessions.sessions, name="sessions")
cli.add_typer(cli_keys.keys, name="keys")
cli.add_typer(cli_tokens.tokens, name="tokens")
cli.add_typer(cli_backup.backups)
cli.add_typer(cli_orders.orders, name="orders")
cli.add_typer(cli_storage.storage)
cli.add_typer(cli_diagnosis.diagnoses)


def _show_version(wanted: object) -> None:
    if wanted:
        typer.echo(f"ordergate {version('ordergate')}")
        raise typer.Exit


@cli.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Handle options before a command."""


def main() -> None:
    """Run the command; turn errors into lines and exit statuses."""
    status: int | None = 1
    _open_standard_streams()
    try:
        status = cli(standalone_mode=False)
        if status == _INTERRUPTED:
            _complain("interrupted")
    except typer.TyperException as error:
        status = error.exit_code
        _complain(_explain_usage(error.format_message()))
    except SettingsError as error:
        for problem in error.problems:
            _complain(problem)
    except (Failure, ApplicationError, CannotListen, DomainError) as error:
        _complain(_explain(error))
    except OSError as error:
        stream = "standard output" if error.errno in _UNWRITABLE else "the system refused"
        _complain(f"{error.filename or stream}: {error.strerror}")
    sys.exit(status)


def _open_standard_streams() -> None:
    """Open missing standard streams, as after `2>&-` in a shell, on nothing."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _complain(message: str) -> None:
    help_text = message.startswith("Usage:")
    with suppress(OSError):  # standard error is full or closed: the exit status remains
        typer.echo(message if help_text else "ordergate: " + " ".join(message.split()), err=True)


def _explain_usage(message: str) -> str:
    """Say which option an unknown command such as `help` is."""
    message = message.replace("Value error, ", "").removeprefix("Invalid value: ")
    return _OPTION_AS_COMMAND.sub(r"\1 Did you mean '--\2'?", message)


def _explain(error: Exception) -> str:
    match error:
        case UsernameTaken():
            return "this user name is taken; choose another"
        case StorageNotEmpty():
            return "there are users or orders already; seed a new database (ORDERGATE_DATABASE_URL)"
        case StorageUnavailable():
            return f"cannot use the database (ORDERGATE_DATABASE_URL, ORDERGATE_HOME): {error}"
        case _:
            return str(error)
