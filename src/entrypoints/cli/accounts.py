"""Accounts that the command line names, by user name or by id."""

from typing import Annotated

import typer

from ordergate.application.find_account import find_account
from ordergate.domain.user import MAX_ID, User, UserId
from ordergate.entrypoints.cli.runtime import Failure, make_number_parser
from ordergate.entrypoints.container import Container

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The user name.")]
AccountId = Annotated[
    int | None,
    typer.Option(
        "--id",
        parser=make_number_parser(1, MAX_ID),
        metavar="ID",
        help="The account's id, for its name.",
    ),
]


async def find_user(container: Container, name: str | None, user_id: int | None) -> User:
    """Return the account with this name or id.

    Raises `Failure` and `BadParameter`.
    """
    if (name is None) == (user_id is None):
        raise typer.BadParameter("give a user name or --id")
    if name is not None:
        user, named = await find_account(container.users(), name), f"user {name}"
    else:
        user, named = await container.users().get(UserId(user_id or 0)), f"account {user_id}"
    if user is None:
        raise Failure(f"there is no {named}")
    return user


async def name_account(container: Container, user_id: UserId) -> str:
    """Name an account; closed and external ones have an id only."""
    user = await container.users().get(user_id)
    return f"{user.username}" if user else f"account {user_id}"
