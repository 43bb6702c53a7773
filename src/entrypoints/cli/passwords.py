"""Read a password from standard input, the environment or a terminal."""

import sys
from collections.abc import Callable
from getpass import getpass
from typing import Annotated

import typer

from ordergate.domain.errors import DomainError
from ordergate.domain.user import MAX_PASSWORD_BYTES, Password
from ordergate.entrypoints.cli.runtime import Failure
from ordergate.entrypoints.factories.checked_settings import read_password_of_environment

PasswordStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin", help="Read the password from standard input, without a prompt."
    ),
]

_NOT_UTF8 = "the password is not UTF-8"


def read_password(check: Callable[[Password], object], *, stdin: bool) -> str:
    """Return the password that the user of the command gives.

    It comes from standard input, from `ORDERGATE_PASSWORD` or its `_FILE`, or from a prompt, which
    asks again for a password that `check` refuses with a `DomainError`. Raises `Failure` and
    `SettingsError`.
    """
    if stdin:
        return _read_stdin()
    return read_password_of_environment() or _ask_password(check)


def _read_stdin() -> str:
    """Read standard input to its end.

    Removes the line break that `echo` adds.
    """
    content = sys.stdin.buffer.read(MAX_PASSWORD_BYTES + len(b"\r\n") + 1)
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Failure(_NOT_UTF8) from None


def _ask_password(check: Callable[[Password], object]) -> str:
    if not sys.stdin.isatty():
        raise Failure(
            "there is no terminal to ask for a password; set ORDERGATE_PASSWORD or give"
            " --password-stdin"
        )
    while True:
        password = _ask("Password: ")
        try:
            check(Password.new(password))
        except DomainError as error:
            typer.echo(error, err=True)
            continue
        if _ask("Repeat for confirmation: ") == password:
            return password
        typer.echo("The passwords differ; enter both again.", err=True)


def _ask(prompt: str) -> str:
    """Ask on the terminal without showing the answer."""
    try:
        return getpass(prompt)
    except UnicodeDecodeError:
        raise Failure(_NOT_UTF8) from None
    except EOFError:
        typer.echo(err=True)
        raise Failure("no password was given") from None
    except KeyboardInterrupt:
        typer.echo(err=True)
        raise
