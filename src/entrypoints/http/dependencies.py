"""What routes may ask for: the use cases, the caller, and strictness about parameters."""

from collections import Counter
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from starlette.requests import HTTPConnection

from ordergate.application.accounts.change_password import ChangePassword
from ordergate.application.accounts.close_account import CloseAccount
from ordergate.application.accounts.get_account import GetAccount
from ordergate.application.accounts.register_user import RegisterUser
from ordergate.application.orders.cancel_order import CancelOrder
from ordergate.application.orders.get_own_order import GetOwnOrder
from ordergate.application.orders.list_own_orders import ListOwnOrders
from ordergate.application.orders.place_order import PlaceOrder
from ordergate.application.ports.audit import Origin
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.tokens import Caller, PublicKeys
from ordergate.application.sessions.authenticate_user import AuthenticateUser
from ordergate.application.sessions.end_all_sessions import EndAllSessions
from ordergate.application.sessions.end_session import EndSession
from ordergate.application.sessions.list_sessions import ListSessions
from ordergate.application.sessions.refresh_session import RefreshSession
from ordergate.application.sessions.revoke_token import RevokeToken
from ordergate.domain.scope import Scope
from ordergate.domain.signing_keys import KeySchedule
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.http.compiled.compiled_route import CompiledRoute, query_names
from ordergate.entrypoints.http.problems.catalog import (
    MISSING_TOKEN,
    REPEATED_AUTHORIZATION,
    insufficient_scope,
)
from ordergate.entrypoints.http.problems.problem import ProblemError
from ordergate.entrypoints.http.requests.fields import field_values, query_parameters


def from_container(name: str) -> object:
    """Depend on the container's provider of that name."""

    async def provide(request: Request) -> object:
        return getattr(request.app.state.container, name)()

    return Depends(provide)


AddUserCase = Annotated[RegisterUser, from_container("register_user")]
AuthenticateUserCase = Annotated[AuthenticateUser, from_container("authenticate_user")]
CancelOrderCase = Annotated[CancelOrder, from_container("cancel_order")]
ChangePasswordCase = Annotated[ChangePassword, from_container("change_password")]
CloseAccountCase = Annotated[CloseAccount, from_container("close_account")]
EndAllSessionsCase = Annotated[EndAllSessions, from_container("end_all_sessions")]
EndSessionCase = Annotated[EndSession, from_container("end_session")]
GetAccountCase = Annotated[GetAccount, from_container("get_account")]
GetOwnOrderCase = Annotated[GetOwnOrder, from_container("get_own_order")]
ListOwnOrdersCase = Annotated[ListOwnOrders, from_container("list_own_orders")]
ListSessionsCase = Annotated[ListSessions, from_container("list_sessions")]
PlaceOrderCase = Annotated[PlaceOrder, from_container("place_order")]
KeyScheduleInForce = Annotated[KeySchedule, from_container("key_schedule")]
PublicKeysPort = Annotated[PublicKeys, from_container("signing_keys")]
RefreshSessionCase = Annotated[RefreshSession, from_container("refresh_session")]
RevokeTokenCase = Annotated[RevokeToken, from_container("revoke_token")]
SettingsInForce = Annotated[Settings, from_container("settings")]
StoragePort = Annotated[Storage, from_container("storage")]

_MAX_ADDRESS_LENGTH = 64


async def _origin(request: Request) -> Origin:
    address = request.client.host if request.client else ""
    return Origin(address[:_MAX_ADDRESS_LENGTH], request.state.request_id)


RequestOrigin = Annotated[Origin, Depends(_origin)]
"""Where the request came from."""


class _BearerToken(OAuth2PasswordBearer):
    """Reads `Authorization: Bearer` (RFC 6750, section 2.1), and is OpenAPI's Authorize button."""

    async def __call__(self, request: HTTPConnection) -> str:
        given = field_values(request, b"authorization")
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
    scopes={
        Scope.ORDERS_READ: "Read your orders",
        Scope.ORDERS_WRITE: "Place and cancel your orders",
        Scope.ACCOUNT: "Look after your account and your sessions",
    },
)


async def _current_user(
    request: Request,
    response: Response,
    needed: SecurityScopes,
    token: Annotated[str, Depends(_bearer_token)],
) -> Caller:
    response.headers["Cache-Control"] = "private, no-store"
    caller: Caller = await request.app.state.container.identify_caller()(token)
    if not caller.scope.issuperset(needed.scopes):
        raise ProblemError(insufficient_scope(needed.scopes))
    return caller


def authorized(*scopes: str) -> Security:
    """Depend on a caller whose token has all of these scopes (RFC 6750, section 3.1)."""
    return Security(_current_user, scopes=scopes)


authenticated = authorized()
"""For routers that know nothing of users: `include_router(…, dependencies=[authenticated])`."""

CurrentUser = Annotated[Caller, authenticated]
"""For routes that need to know: `async def mine(user: CurrentUser)`."""

OrderReader = Annotated[Caller, authorized(Scope.ORDERS_READ)]
OrderWriter = Annotated[Caller, authorized(Scope.ORDERS_WRITE)]
AccountHolder = Annotated[Caller, authorized(Scope.ACCOUNT)]


_MAX_PARAMETERS = 32
_MAX_QUERY_BYTES = 8_192
"""What any recipient supports (RFC 9110, section 4.1)."""
_QUERY_TOO_LONG = f"has more than {_MAX_QUERY_BYTES} bytes"
_TOO_MANY_PARAMETERS = f"has more than {_MAX_PARAMETERS} parameters"


async def _reject_unknown_query_parameters(request: Request) -> None:
    if not request.scope["query_string"]:
        return
    query = request.scope["query_string"]
    for refused, reason in (
        (query.count(b"&") >= _MAX_PARAMETERS, _TOO_MANY_PARAMETERS),
        (len(query) > _MAX_QUERY_BYTES, _QUERY_TOO_LONG),
    ):
        if refused:
            raise RequestValidationError([{"loc": ("query", ""), "msg": reason}])
    given = [name for name, _ in query_parameters(request)]
    route = request.scope["route"]
    known = route.query_names if isinstance(route, CompiledRoute) else query_names(route)
    if len(set(given)) == len(given) and known.issuperset(given):
        return
    errors = [
        {"loc": ("query", name[:64]), "msg": message}
        for name, times in Counter(given).items()
        for wrong, message in [
            (
                name not in known,
                f"is not a parameter here; known: {', '.join(sorted(known)) or 'none'}",
            ),
            (times > 1, "is repeated; send it once"),
        ]
        if wrong
    ]
    raise RequestValidationError(errors)


strict_query: Any = Depends(_reject_unknown_query_parameters)
"""Refuse query parameters that a route does not know or that come twice, instead of guessing."""
