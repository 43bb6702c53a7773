"""What routes may ask for: the use cases, the caller, and strictness about parameters."""

from collections import Counter
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import OAuth2PasswordBearer
from starlette.requests import HTTPConnection

from application.authenticate_user import AuthenticateUser
from application.get_own_order import GetOwnOrder
from application.ports import Caller, Storage
from entrypoints.http.errors import MISSING_TOKEN, REPEATED_AUTHORIZATION
from entrypoints.http.problems import ProblemError


def from_container(name: str) -> Any:  # noqa: ANN401 - FastAPI types Depends as Any
    """Depend on the container's provider of that name."""

    async def provide(request: Request) -> object:
        return getattr(request.app.state.container, name)()

    return Depends(provide)


AuthenticateUserCase = Annotated[AuthenticateUser, from_container("authenticate_user")]
GetOwnOrderCase = Annotated[GetOwnOrder, from_container("get_own_order")]
StoragePort = Annotated[Storage, from_container("storage")]


class _BearerToken(OAuth2PasswordBearer):
    """Reads `Authorization: Bearer` (RFC 6750, section 2.1), and is OpenAPI's Authorize button."""

    async def __call__(self, request: HTTPConnection) -> str:
        given = request.headers.getlist("authorization")
        if len(given) > 1:
            raise ProblemError(REPEATED_AUTHORIZATION)
        scheme, _, token = (given[0] if given else "").partition(" ")
        token = token.strip(" ")
        if scheme.lower() != "bearer" or not token:
            raise ProblemError(MISSING_TOKEN)
        return token


_bearer_token = _BearerToken(
    tokenUrl="login",
    scheme_name="password",
    description="Sign in with a user name and a password; leave client id and secret empty.",
)


async def _current_user(
    request: Request, response: Response, token: Annotated[str, Depends(_bearer_token)]
) -> Caller:
    response.headers["Cache-Control"] = "private, no-store"
    caller: Caller = await request.app.state.container.verifier().verify(token)
    return caller


authenticated: Any = Depends(_current_user)
"""For routers that know nothing of users: `include_router(…, dependencies=[authenticated])`."""

CurrentUser = Annotated[Caller, authenticated]
"""For routes that need to know: `async def mine(user: CurrentUser)`."""


async def _refuse_stray_parameters(request: Request) -> None:
    given = Counter(name for name, _ in request.query_params.multi_items())
    if not given:
        return
    route = request.scope["route"]
    known = {parameter.alias for parameter in route.dependant.query_params}
    errors = [
        {"loc": ("query", name[:64]), "msg": message}
        for name, times in given.items()
        for wrong, message in [
            (
                name not in known,
                f"is not a parameter here; known: {', '.join(sorted(known)) or 'none'}",
            ),
            (times > 1, "is repeated; send it once"),
        ]
        if wrong
    ]
    if errors:
        raise RequestValidationError(errors)


strict_query: Any = Depends(_refuse_stray_parameters)
"""Refuse query parameters that a route does not know or that come twice, instead of guessing."""
