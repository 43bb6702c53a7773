"""`ordergate users`: accounts."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from ordergate.application.errors import UsernameTaken
from ordergate.domain.user import MAX_ID, User, UserId, Username
from ordergate.entrypoints.cli.accounts import AccountId, Name, find_user
from ordergate.entrypoints.cli.listing import AsJson, limit_option, print_list, print_record
from ordergate.entrypoints.cli.passwords import PasswordStdin, read_password
from ordergate.entrypoints.cli.runtime import (
    make_number_parser,
    require_token_issuer,
    with_storage,
)
from ordergate.entrypoints.cli.staff_use_cases import StaffUseCases
from ordergate.entrypoints.container import Container

users = typer.Typer(help="Accounts.", no_args_is_help=True)

_MOST_LISTED = 10_000


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
    username = Username.new(name)
    with_storage(container, lambda: _check_is_free(container, username))
    rules = container.password_rules()
    password = read_password(lambda given: rules.check(given, username), stdin=password_stdin)
    user = with_storage(container, lambda: container.register_user()(name, password))
    typer.echo(f"Added user {user.username} with id {user.id}.")


async def _check_is_free(container: Container, username: Username) -> None:
    """Raise `UsernameTaken` before a password is entered."""
    if await container.users().find(username) is not None:
        raise UsernameTaken


@users.command("list")
def list_users(
    *,
    after: Annotated[
        int,
        typer.Option(
            parser=make_number_parser(0, MAX_ID),
            metavar="ID",
            help="Only accounts with higher ids.",
        ),
    ] = 0,
    limit: Annotated[int, limit_option(_MOST_LISTED)] = 100,
    as_json: AsJson = False,
) -> None:
    """List open accounts by id."""
    container = require_token_issuer()
    found = with_storage(
        container,
        lambda: StaffUseCases(container).list_accounts(after=UserId(after), limit=limit + 1),
    )
    rows = [(user.id, f"{user.username}", _name_status(user)) for user in found[:limit]]
    print_list(("id", "name", "status"), rows, as_json=as_json)
    if len(found) > limit:
        typer.echo(f"More accounts follow: --after {rows[-1][0]}", err=True)


@users.command("show")
def show_user(name: Name = None, user_id: AccountId = None, *, as_json: AsJson = False) -> None:
    """Show an account and the number of its active sessions."""
    container = require_token_issuer()

    async def show() -> None:
        user = await find_user(container, name, user_id)
        sessions = await container.list_sessions()(user=user.id)
        record = {
            "id": user.id,
            "name": f"{user.username}",
            "status": _name_status(user),
            "sessions": len(sessions),
        }
        print_record(record, as_json=as_json)

    with_storage(container, show)


@users.command("disable")
def disable_user(name: Name = None, user_id: AccountId = None) -> None:
    """Refuse the password of an account, and end its sessions."""
    _change(name, user_id, lambda staff, user: staff.disable_account(user), "disabled")


@users.command("enable")
def enable_user(name: Name = None, user_id: AccountId = None) -> None:
    """Accept the password of a disabled account again."""
    _change(name, user_id, lambda staff, user: staff.enable_account(user), "enabled")


@users.command("set-password")
def set_password(
    name: Name = None, user_id: AccountId = None, *, password_stdin: PasswordStdin = False
) -> None:
    """Set a user's password, and end all their sessions.

    The password comes from standard input, from ORDERGATE_PASSWORD or its _FILE, or from a prompt.
    """
    container = require_token_issuer()
    user = with_storage(container, lambda: find_user(container, name, user_id))
    rules = container.password_rules()
    password = read_password(lambda given: rules.check(given, user.username), stdin=password_stdin)
    with_storage(container, lambda: StaffUseCases(container).set_password(user, password))
    typer.echo(f"User {user.username} has a new password; all sessions have ended.")
    if user.is_disabled:
        typer.echo(f"The account is still disabled: ordergate users enable {user.username}")


def _change(
    name: str | None,
    user_id: int | None,
    change: Callable[[StaffUseCases, User], Awaitable[None]],
    status: str,
) -> None:
    container = require_token_issuer()

    async def run() -> User:
        user = await find_user(container, name, user_id)
        await change(StaffUseCases(container), user)
        return user

    typer.echo(f"User {with_storage(container, run).username} is {status}.")


def _name_status(user: User) -> str:
    return "disabled" if user.is_disabled else "enabled"
