"""Read a password from standard input, the environment or a terminal."""

import sys
from typing import Annotated

import typer

from ordergate.domain.user import MAX_PASSWORD_BYTES
from ordergate.entrypoints.cli.runtime import Failure
from ordergate.entrypoints.config.loading import read_given_password

PasswordStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin", help="Read the password from standard input, without a prompt."
    ),
]

_NOT_UTF8 = "the password is not UTF-8"


def read_password(*, stdin: bool) -> str:
    """Return the password that the user of the command gives.

    It comes from standard input, from `ORDERGATE_PASSWORD` or its `_FILE`, or from a prompt. Raises
    `Failure` and `SettingsError`.
    """
    if stdin:
        return _read_stdin()
    return read_given_password() or _ask_password()


def _read_stdin() -> str:
    """Read standard input to its end.

    Removes the line break that `echo` adds.
    """
    content = sys.stdin.buffer.read(MAX_PASSWORD_BYTES + len(b"\r\n") + 1)
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Failure(_NOT_UTF8) from None


def _ask_password() -> str:
    if not sys.stdin.isatty():
        raise Failure(
            "there is no terminal to ask for a password; set ORDERGATE_PASSWORD or give"
            " --password-stdin"
        )
    try:
        password: str = typer.prompt(
            "Password", hide_input=True, confirmation_prompt=True, err=True
        )
    except UnicodeDecodeError:
        raise Failure(_NOT_UTF8) from None
    return password
