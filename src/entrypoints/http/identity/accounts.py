"""`/users` and `/me`: registration and the caller's account."""

from typing import Annotated, Any, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, JsonValue

from ordergate.application.errors import (
    AccountHasOpenOrders,
    Overloaded,
    Throttled,
    UsernameTaken,
    WrongPassword,
)
from ordergate.domain import user as domain
from ordergate.domain.errors import WeakPassword
from ordergate.domain.user import MAX_ID, MAX_PASSWORD_BYTES
from ordergate.entrypoints.http.openapi.responses import (
    INT64,
    document_answer,
    header,
    problems,
    with_example,
)
from ordergate.entrypoints.http.problems.mapping import to_problem
from ordergate.entrypoints.http.requests.conditional import UNTAGGED
from ordergate.entrypoints.http.requests.origin import RequestOrigin
from ordergate.entrypoints.http.requests.strict_json import (
    BODY_PROBLEMS,
    StrictBody,
    StrictJsonRoute,
)
from ordergate.entrypoints.http.security import AccountHolder
from ordergate.entrypoints.http.services import get_services

_options: dict[str, Any] = {
    "tags": ["account"],
    "responses": problems(UNTAGGED),
    "route_class": StrictJsonRoute,
}
sign_up = APIRouter(**_options)
router = APIRouter(**_options)

_REGISTERED: dict[str, JsonValue] = {"id": 3, "username": "alice"}
_LOCATION = header(
    "The address of the account, relative to that of the request (RFC 3986, section 4.2).", "me"
)
_TOO_SHORT = to_problem(WeakPassword("A password must have at least 15 characters."))
_Username = Annotated[str, Field(min_length=1, max_length=256)]
_Password = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_PASSWORD_BYTES,
        json_schema_extra={"format": "password"},
    ),
]


class NewUser(StrictBody):
    """An account to register."""

    model_config = with_example(username="alice", password="a pot of tea at four")

    username: _Username = Field(description="The name to sign in with, in any case and width.")
    password: _Password = Field(description="The password to sign in with.")


class NewPassword(StrictBody):
    """A password change."""

    model_config = with_example(
        current_password="ordergate-demo", new_password="a pot of tea at four"
    )

    current_password: _Password = Field(description="The password so far.")
    new_password: _Password = Field(description="The password from now on.")


class Confirmation(StrictBody):
    """The password of the caller."""

    model_config = with_example(password="ordergate-demo")

    password: _Password = Field(description="The current password.")


class User(BaseModel):
    """An account."""

    model_config = with_example(id=1, username="user1")

    id: int = Field(
        ge=1,
        le=MAX_ID,
        description="The id of the account, which never changes.",
        json_schema_extra=INT64,
    )
    username: str = Field(description="The stored form: lower case, NFC.")

    @classmethod
    def from_domain(cls, user: domain.User) -> Self:
        """Convert an account."""
        return cls(id=user.id, username=user.username.value)


@sign_up.post(
    "/users",
    name="register_user",
    summary="Register an account",
    status_code=201,
    responses=problems(UsernameTaken, *BODY_PROBLEMS, _TOO_SHORT, Throttled, Overloaded)
    | document_answer(201, "The account is registered.", _REGISTERED, Location=_LOCATION),
)
async def register_user(
    new: NewUser, request: Request, origin: RequestOrigin, response: Response
) -> User:
    """Register an account. Sign in afterwards."""
    user = await get_services(request).register_user()(new.username, new.password, origin=origin)
    response.headers["Location"] = "me"
    return User.from_domain(user)


@router.get(
    "/me", name="get_account", summary="Read your account", response_description="Your account."
)
async def get_account(user: AccountHolder, request: Request) -> User:
    """Return your account."""
    return User.from_domain(await get_services(request).get_account()(user=user.id))


@router.put(
    "/me/password",
    name="change_password",
    summary="Change your password",
    status_code=204,
    response_description="The password is changed.",
    responses=problems(WrongPassword, *BODY_PROBLEMS, _TOO_SHORT, Throttled, Overloaded),
)
async def change_password(
    new: NewPassword,
    user: AccountHolder,
    request: Request,
    origin: RequestOrigin,
) -> None:
    """Change your password and end all your other sessions."""
    change_password = get_services(request).change_password()
    await change_password(new.current_password, new.new_password, caller=user, origin=origin)


@router.delete(
    "/me",
    name="close_account",
    summary="Close your account",
    status_code=204,
    response_description="The account is closed.",
    responses=problems(WrongPassword, *BODY_PROBLEMS, AccountHasOpenOrders, Throttled, Overloaded),
)
async def close_account(
    confirmation: Confirmation,
    user: AccountHolder,
    request: Request,
    origin: RequestOrigin,
) -> None:
    """End your sessions, and erase your name and password.

    Your orders stay, without your name.
    """
    await get_services(request).close_account()(confirmation.password, caller=user, origin=origin)
