"""`ordergate users`: accounts."""

import sys
from typing import Annotated

import typer

from ordergate.entrypoints.cli.runtime import (
    Failure,
    check_storage,
    require_token_issuer,
    with_storage,
)
from ordergate.entrypoints.config.loading import password_given

users = typer.Typer(help="Accounts.", no_args_is_help=True)


@users.command("add")
def register_user(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user name.")],
) -> None:
    """Register an account; ORDERGATE_PASSWORD, its _FILE or a prompt gives the password."""
    container = require_token_issuer()
    check_storage(container)
    password = password_given() or _ask_password()
    user = with_storage(container, lambda: container.register_user()(name, password))
    typer.echo(f"Added user {user.username} with id {user.id}.")


def _ask_password() -> str:
    if not sys.stdin.isatty():
        raise Failure("there is no terminal to ask for a password; set ORDERGATE_PASSWORD")
    try:
        password: str = typer.prompt(
            "Password", hide_input=True, confirmation_prompt=True, err=True
        )
    except UnicodeDecodeError:
        raise Failure("the password is not UTF-8") from None
    return password
