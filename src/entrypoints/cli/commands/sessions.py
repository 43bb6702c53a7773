"""`ordergate sessions`: the sessions of users, for staff."""

from typing import Annotated

import typer

from ordergate.application.errors import SessionNotFound
from ordergate.domain.session import SessionEndReason, SessionId
from ordergate.entrypoints.cli.accounts import AccountId, Name, find_user
from ordergate.entrypoints.cli.listing import AsJson, print_list
from ordergate.entrypoints.cli.runtime import Failure, require_token_issuer, with_storage

sessions = typer.Typer(help="Sessions of users.", no_args_is_help=True)


@sessions.command("list")
def list_sessions(name: Name = None, user_id: AccountId = None, *, as_json: AsJson = False) -> None:
    """List the active sessions of a user, most recently used first."""
    container = require_token_issuer()

    async def listed() -> None:
        user = await find_user(container, name, user_id)
        found = await container.list_sessions()(user=user.id)
        print_list(
            ("id", "client", "address", "started", "used", "expires", "scope"),
            [
                (
                    each.id,
                    each.client_id,
                    each.address,
                    each.started_at,
                    each.last_used_at,
                    each.expires_at,
                    " ".join(sorted(each.scope)),
                )
                for each in found
            ],
            as_json=as_json,
        )

    with_storage(container, listed)


@sessions.command("end")
def end_sessions(
    name: Name = None,
    user_id: AccountId = None,
    *,
    session: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only the session with this id, not all sessions."),
    ] = None,
) -> None:
    """End all sessions of a user, or one of them."""
    container = require_token_issuer()
    reason = SessionEndReason.ENDED_BY_STAFF

    async def end() -> str:
        user = await find_user(container, name, user_id)
        if session is None:
            await container.end_all_sessions()(user=user.id, reason=reason)
            return f"All sessions of user {user.username} have ended."
        try:
            await container.end_session()(SessionId(session), user=user.id, reason=reason)
        except SessionNotFound:
            raise Failure(
                f"user {user.username} has no active session {session};"
                " `ordergate sessions list` shows those there are"
            ) from None
        return f"Session {session} of user {user.username} has ended."

    typer.echo(with_storage(container, end))
