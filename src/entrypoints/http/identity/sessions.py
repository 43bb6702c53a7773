"""`/sessions`: the caller's sessions."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from ordergate.application.errors import SessionNotFound, TooManyRequests
from ordergate.domain import session as domain
from ordergate.domain.session import SessionId
from ordergate.entrypoints.http.openapi.responses import problems, with_example
from ordergate.entrypoints.http.problems.problem import invalid_parameter
from ordergate.entrypoints.http.requests.conditional import UNTAGGED
from ordergate.entrypoints.http.requests.origin import RequestOrigin
from ordergate.entrypoints.http.requests.strict_json import StrictJsonRoute
from ordergate.entrypoints.http.security import AccountHolder
from ordergate.entrypoints.http.services import get_services

router = APIRouter(
    tags=["account"],
    responses=problems(UNTAGGED),
    route_class=StrictJsonRoute,
)

_CURRENT = "current"
_PATTERN = f"^([0-9a-f]{{32}}|{_CURRENT})$"
_RULE = f"must match the pattern {_PATTERN}"


class Session(BaseModel):
    """An active session."""

    model_config = with_example(
        id="0f8fad5bd9cb469fa16570867728950e",
        started_at="2026-01-01T09:00:01Z",
        last_used_at="2026-01-02T09:00:01Z",
        expires_at="2026-01-16T09:00:01Z",
        client_id="first-party",
        address="192.0.2.7",
        scope="account orders:read orders:write",
        current=True,
    )

    id: str = Field(description="The id of the session.")
    started_at: datetime = Field(description="RFC 3339, UTC.")
    last_used_at: datetime = Field(description="The latest sign-in or refresh; RFC 3339, UTC.")
    expires_at: datetime = Field(description="The end of the session, unless it is renewed before.")
    client_id: str = Field(description="The name of the client, as tokens carry it.")
    address: str = Field(description="The address that the sign-in came from.")
    scope: str = Field(description="The granted scopes, separated by spaces.")
    current: bool = Field(description="Whether it is the session of this request.")

    @classmethod
    def from_domain(cls, session: domain.Session, current: SessionId | None) -> Self:
        """Convert a session."""
        return cls(
            id=session.id,
            started_at=session.started_at,
            last_used_at=session.last_used_at,
            expires_at=session.expires_at,
            client_id=session.client_id,
            address=session.address,
            scope=" ".join(sorted(session.scope)),
            current=session.id == current,
        )


@router.get(
    "/sessions",
    name="list_sessions",
    summary="List your active sessions",
    response_description="Your active sessions.",
    responses=problems(TooManyRequests),
)
async def list_sessions(user: AccountHolder, request: Request) -> list[Session]:
    """Return your active sessions, most recently used first."""
    sessions = await get_services(request).list_sessions()(user=user.id)
    return [Session.from_domain(session, user.session) for session in sessions]


@router.delete(
    "/sessions/{id}",
    name="end_session",
    summary="End one of your sessions",
    status_code=204,
    response_description="The session has ended.",
    responses=problems(SessionNotFound, invalid_parameter(("path", "id", _RULE))),
)
async def end_session(
    id: Annotated[
        str,
        Path(
            pattern=_PATTERN,
            description=f"The session's id, or `{_CURRENT}` for the session of the access token.",
            examples=[_CURRENT],
        ),
    ],
    user: AccountHolder,
    request: Request,
    origin: RequestOrigin,
) -> None:
    """End one of your sessions. Sessions of other users are not found."""
    session = user.session if id == _CURRENT else SessionId(id)
    if session is None:
        raise SessionNotFound
    await get_services(request).end_session()(session, user=user.id, origin=origin)


@router.delete(
    "/sessions",
    name="end_sessions",
    summary="End all your sessions",
    status_code=204,
    response_description="All your sessions have ended.",
)
async def end_sessions(user: AccountHolder, request: Request, origin: RequestOrigin) -> None:
    """End all your sessions, including this one."""
    await get_services(request).end_all_sessions()(user=user.id, origin=origin)
