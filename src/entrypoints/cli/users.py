"""`ordergate users`: accounts."""

from typing import Annotated

import typer

from ordergate.entrypoints.cli.passwords import PasswordStdin, read_password
from ordergate.entrypoints.cli.runtime import (
    check_storage,
    require_token_issuer,
    with_storage,
)

users = typer.Typer(help="Accounts.", no_args_is_help=True)


@users.command("add")
def register_user(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user name.")],
    *,
    password_stdin: PasswordStdin = False,
) -> None:
    """Register an account.

    The password comes from standard input, from ORDERGATE_PASSWORD or its _FILE, or from a prompt.
    """
    container = require_token_issuer()
    check_storage(container)
    password = read_password(stdin=password_stdin)
    user = with_storage(container, lambda: container.register_user()(name, password))
    typer.echo(f"Added user {user.username} with id {user.id}.")
