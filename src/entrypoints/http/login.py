"""`POST /login`: the token endpoint of OAuth2, for the password grant (RFC 6749, section 4.3)."""

import base64
import re
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from application.errors import InvalidCredentials, Overloaded
from entrypoints.http.dependencies import AuthenticateUserCase, strict_query
from entrypoints.http.errors import oauth_problem
from entrypoints.http.openapi import problems
from entrypoints.http.problems import ProblemError

FORM = "application/x-www-form-urlencoded"
FIRST_PARTY = "first-party"
"""The `client_id` of tokens whose client did not name itself."""

_MAX_FIELDS = 32
_CLIENT_ID = re.compile(r"[\x20-\x7e]{1,255}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

UNSUPPORTED_GRANT_TYPE = oauth_problem(
    400, "unsupported_grant_type", "The only grant_type supported is password."
)
INVALID_SCOPE = oauth_problem(400, "invalid_scope", "A scope is words separated by single spaces.")
MISSING_FIELD = oauth_problem(400, "invalid_request", "The form field username is missing.")
INVALID_CLIENT = oauth_problem(
    401,
    "invalid_client",
    "Clients have no secret here; leave the client secret empty.",
    headers={"WWW-Authenticate": "Basic"},
)
NOT_A_FORM = oauth_problem(415, "invalid_request", f"Send the form as {FORM}.")

router = APIRouter(tags=["sign-in"], dependencies=[strict_query])


class LoginForm(BaseModel):
    """What the form holds. Fields unknown to OAuth2 are ignored (RFC 6749, section 3.2)."""

    grant_type: Literal["password"] = Field(default="password")
    username: str = Field(min_length=1, examples=["user1"])
    password: str = Field(
        min_length=1, json_schema_extra={"format": "password"}, examples=["ordergate-demo"]
    )
    model_config = ConfigDict(json_schema_extra={"additionalProperties": {"type": "string"}})

    scope: str = Field(
        default="",
        pattern=rf"^({_SCOPE.pattern})?$",
        description="Accepted; there are no scopes to choose from yet.",
    )
    client_id: str = Field(
        default="",
        pattern=r"^[\x20-\x7e]*$",
        max_length=255,
        description="Names the client in the token.",
    )


class TokenOut(BaseModel):
    """An access token (RFC 6749, section 5.1)."""

    model_config = ConfigDict(
        title="Token",
        json_schema_extra={
            "examples": [
                {"access_token": "eyJ0eXAiOiJhdCtqd3Qi…", "token_type": "bearer", "expires_in": 900}
            ]
        },
    )

    access_token: str = Field(description="A JWT (RFC 9068); send it as Authorization: Bearer.")
    token_type: Literal["bearer"]
    expires_in: int = Field(description="Seconds until the token expires.")


@dataclass(frozen=True, slots=True)
class PasswordGrant:
    """A well-formed request for a token."""

    username: str
    password: str
    client_id: str


async def password_grant(request: Request) -> PasswordGrant:
    """Read the form. Raises `ProblemError` with the error that RFC 6749, section 5.2, names."""
    form = await _form(request)
    grant_type = form.get("grant_type") or "password"
    if grant_type != "password":
        raise ProblemError(UNSUPPORTED_GRANT_TYPE)
    for name in ("username", "password"):
        if not form.get(name):
            raise _invalid_request(f"The form field {name} is missing.")
    scope = form.get("scope", "")
    if scope and not _SCOPE.fullmatch(scope):
        raise ProblemError(INVALID_SCOPE)
    return PasswordGrant(form["username"], form["password"], _client_id(request, form))


@router.post(
    "/login",
    name="login",
    summary="Sign in",
    response_description="An access token",
    responses=problems(
        InvalidCredentials,
        MISSING_FIELD,
        UNSUPPORTED_GRANT_TYPE,
        INVALID_SCOPE,
        INVALID_CLIENT,
        NOT_A_FORM,
        Overloaded,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {FORM: {"schema": LoginForm.model_json_schema()}},
        }
    },
)
async def login(
    grant: Annotated[PasswordGrant, Depends(password_grant)],
    authenticate_user: AuthenticateUserCase,
    response: Response,
) -> TokenOut:
    """Exchange a user name and a password for an access token."""
    token = await authenticate_user(grant.username, grant.password, client_id=grant.client_id)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return TokenOut(access_token=token.value, token_type="bearer", expires_in=token.expires_in)  # noqa: S106 - a word of RFC 6750


async def _form(request: Request) -> dict[str, str]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise ProblemError(NOT_A_FORM)
    body = await request.body()
    try:
        text = body.decode()
        if _STRAY_PERCENT.search(text):
            raise _invalid_request("A % in the form must be written as %25.")
        if text.count("&") >= _MAX_FIELDS:
            raise _invalid_request(f"A form has at most {_MAX_FIELDS} fields.")
        fields = (
            parse_qsl(
                text,
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
            )
            if text
            else []
        )
    except ValueError:
        raise _invalid_request(f"The body is not a well-formed {FORM} in UTF-8.") from None
    form = dict(fields)
    if len(form) < len(fields):
        raise _invalid_request("A form field is repeated; send each once.")
    return form


def _client_id(request: Request, form: dict[str, str]) -> str:
    """Name the client, always a public one: by the form or by HTTP Basic (RFC 6749, 2.3.1)."""
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        raise _invalid_request("The header Authorization is repeated; send it once.")
    scheme, _, credentials = (given[0] if given else "").partition(" ")
    by_header, secret = _basic(credentials) if scheme.lower() == "basic" else ("", "")
    if secret or form.get("client_secret"):
        raise ProblemError(INVALID_CLIENT)
    by_form = form.get("client_id", "")
    if by_header and by_form and by_header != by_form:
        raise _invalid_request("The form and the header Authorization name different clients.")
    client_id = by_header or by_form or FIRST_PARTY
    if not _CLIENT_ID.fullmatch(client_id):
        raise _invalid_request("A client_id has 1 to 255 printable ASCII characters.")
    return client_id


def _basic(credentials: str) -> tuple[str, str]:
    try:
        client_id, colon, secret = (
            base64.b64decode(credentials.strip(" "), validate=True).decode().partition(":")
        )
        if colon and not _STRAY_PERCENT.search(client_id + secret):
            return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError:
        pass
    raise _invalid_request("The header Authorization holds no Basic credentials.")


def _invalid_request(detail: str) -> ProblemError:
    return ProblemError(oauth_problem(400, "invalid_request", detail))
