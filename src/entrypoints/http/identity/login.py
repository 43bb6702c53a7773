"""`POST /login` and `POST /revoke`: OAuth2's token endpoint, and revocation (RFC 7009)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from ordergate.application.errors import (
    InvalidCredentials,
    InvalidGrant,
    InvalidScope,
    Overloaded,
    Throttled,
    TooManyRequests,
    UnsupportedTokenType,
)
from ordergate.application.ports.audit import Origin
from ordergate.application.sessions.authenticate_user import IssuedTokens
from ordergate.entrypoints.http.identity.forms import LoginForm, RevokeForm, document_form
from ordergate.entrypoints.http.identity.oauth import (
    ENCODED_FORM,
    FIRST_PARTY,
    INVALID_CLIENT,
    NOT_A_FORM,
    missing_field,
    read_client_id,
    read_form,
    read_scope,
)
from ordergate.entrypoints.http.openapi.responses import problems, with_example
from ordergate.entrypoints.http.problems.problem import ProblemError, oauth_problem
from ordergate.entrypoints.http.requests.origin import RequestOrigin
from ordergate.entrypoints.http.requests.strict_query import StrictQueryRoute
from ordergate.entrypoints.http.services import Services, get_services

router = APIRouter(tags=["authentication"], route_class=StrictQueryRoute)

UNSUPPORTED_GRANT_TYPE = oauth_problem(
    400,
    "unsupported_grant_type",
    "The only grant types here are password and refresh_token.",
)


class Tokens(BaseModel):
    """The answer of RFC 6749, section 5.1."""

    model_config = with_example(
        access_token="eyJ…",
        token_type="bearer",
        expires_in=900,
        refresh_token="ogr_…",
        scope="account orders:read orders:write",
    )

    access_token: str = Field(description="A JWT (RFC 9068); send it as Authorization: Bearer.")
    token_type: Literal["bearer"] = Field(description="How to send the access token (RFC 6750).")
    expires_in: int = Field(
        ge=1, le=86_400, description="The number of seconds until the access token expires."
    )
    refresh_token: str = Field(description="Can be used once; the answer has the next one.")
    scope: str = Field(description="The scopes of the access token, separated by spaces.")


class Revoked(BaseModel):
    """An empty object.

    RFC 7009 (section 2.2) has clients ignore it; some require JSON.
    """

    model_config = with_example()


@dataclass(frozen=True, slots=True)
class PasswordGrant:
    """A well-formed request for a session (RFC 6749, section 4.3)."""

    username: str
    password: str
    client_id: str
    scope: frozenset[str]

    async def exchange(self, services: Services, origin: Origin) -> IssuedTokens:
        """Sign in."""
        return await services.authenticate_user()(
            self.username,
            self.password,
            client_id=self.client_id,
            scope=self.scope,
            origin=origin,
        )


@dataclass(frozen=True, slots=True)
class RefreshGrant:
    """A well-formed request to renew a session (RFC 6749, section 6)."""

    refresh_token: str
    client_id: str | None
    scope: frozenset[str] | None

    async def exchange(self, services: Services, origin: Origin) -> IssuedTokens:
        """Renew the session."""
        return await services.refresh_session()(
            self.refresh_token, client_id=self.client_id, scope=self.scope, origin=origin
        )


async def read_grant(request: Request) -> PasswordGrant | RefreshGrant:
    """Read the form.

    Raises `ProblemError` with an error of RFC 6749, section 5.2.
    """
    form = await read_form(request)
    match form.get("grant_type") or "password":
        case "password":
            required = ["username", "password"]
        case "refresh_token":
            required = ["refresh_token"]
        case _:
            raise ProblemError(UNSUPPORTED_GRANT_TYPE)
    for name in required:
        if not form.get(name):
            raise missing_field(name)
    known = get_services(request).known_scopes()
    scope, client_id = read_scope(form, known), read_client_id(request, form)
    if required == ["refresh_token"]:
        return RefreshGrant(form["refresh_token"], client_id, scope)
    return PasswordGrant(
        form["username"], form["password"], client_id or FIRST_PARTY, scope or frozenset(known)
    )


@router.post(
    "/login",
    name="login",
    summary="Sign in, or renew a session",
    response_description="The tokens.",
    responses=problems(
        InvalidCredentials,
        InvalidGrant,
        missing_field("username").problem,
        UNSUPPORTED_GRANT_TYPE,
        InvalidScope,
        INVALID_CLIENT,
        NOT_A_FORM,
        ENCODED_FORM,
        Throttled,
        TooManyRequests,
        Overloaded,
    ),
    openapi_extra=document_form(LoginForm),
)
async def login(
    grant: Annotated[PasswordGrant | RefreshGrant, Depends(read_grant)],
    request: Request,
    origin: RequestOrigin,
    response: Response,
) -> Tokens:
    """Exchange a name and a password, or a refresh token, for tokens."""
    given = await grant.exchange(get_services(request), origin)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return Tokens(
        access_token=given.access.value,
        token_type="bearer",
        expires_in=given.access.expires_in,
        refresh_token=given.refresh.text,
        scope=" ".join(sorted(given.scope)),
    )


@router.post(
    "/revoke",
    name="revoke",
    summary="Revoke a token",
    response_description="The session of the token has ended, or the token was unknown.",
    responses=problems(
        UnsupportedTokenType,
        InvalidGrant,
        missing_field("token").problem,
        INVALID_CLIENT,
        NOT_A_FORM,
        ENCODED_FORM,
    ),
    openapi_extra=document_form(RevokeForm),
)
async def revoke(request: Request, origin: RequestOrigin, response: Response) -> Revoked:
    """End the session of a token.

    An unknown token gets the same answer.
    """
    form = await read_form(request)
    client_id = read_client_id(request, form)
    if not form.get("token"):
        raise missing_field("token")
    await get_services(request).revoke_token()(form["token"], client_id=client_id, origin=origin)
    response.headers["Cache-Control"] = "no-store"
    return Revoked()
