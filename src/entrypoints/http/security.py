"""The caller of a request: bearer token, scopes, and `CurrentUser`."""

import logging
from abc import ABC, abstractmethod
from typing import Annotated

from fastapi import Response
from fastapi.openapi.models import OAuth2, OAuthFlowPassword, OAuthFlows
from fastapi.params import Security
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from ordergate.application.errors import ApplicationError, InvalidToken
from ordergate.application.ports.tokens import Caller
from ordergate.domain.scope import BUILT_IN_SCOPES, Scope, require_scope_name
from ordergate.entrypoints.http.middleware.rate_limits import COUNTED, count_caller
from ordergate.entrypoints.http.openapi.root_path import SIGN_IN_DESCRIPTION
from ordergate.entrypoints.http.problems.catalog import (
    MISSING_TOKEN,
    REPEATED_AUTHORIZATION,
    make_insufficient_scope,
)
from ordergate.entrypoints.http.problems.challenges import add_metadata
from ordergate.entrypoints.http.problems.mapping import to_problem
from ordergate.entrypoints.http.problems.problem import Problem, ProblemError
from ordergate.entrypoints.http.requests.fields import read_field_values
from ordergate.entrypoints.http.services import get_services

AUTHENTICATED = "ordergate.authenticated"
"""The key in the scope of a request whose token was accepted."""

IDENTIFIED = "ordergate.identified"
"""The key in the scope of a request with the user's id, also if scopes are missing."""

_TOKEN_PROTOCOL = "bearer."
"""The beginning of a protocol with a token: browsers send no other header for a WebSocket."""

SIGN_IN = "ordergate.sign-in"
"""The scheme of routes for callers, which the document of an application renames."""

OPTIONAL = "ordergate.optional"
"""The scheme of routes for anonymous callers, which the document of an application replaces."""


_log = logging.getLogger("ordergate.tokens")


class UndeclaredScope(Exception):
    """A route requires scopes that no token can have."""

    def __init__(self, *routes: tuple[str, str]) -> None:
        super().__init__(
            "; ".join(f"{route} requires the scope {scope}" for route, scope in routes)
            + ", which is not declared; correct its name, or declare it with a description:"
            f' create(scopes={{"{routes[0][1]}": "…"}})'
        )


class BearerScheme(SecurityBase, ABC):
    """`Authorization: Bearer` (RFC 6750, section 2.1), as the OAuth2 password flow.

    FastAPI calls it for each request of a protected route, and documents it. The flow is the
    Authorize button of `/docs`.
    """

    model = OAuth2(
        flows=OAuthFlows(
            password=OAuthFlowPassword(
                tokenUrl="login",
                scopes={**BUILT_IN_SCOPES},
            )
        ),
        description=SIGN_IN_DESCRIPTION,
    )

    @abstractmethod
    async def __call__(
        self, connection: HTTPConnection, response: Response, needed: SecurityScopes
    ) -> Caller | None:
        """Return the caller if the token has every scope of the route.

        Raises a `ProblemError`: 400, 401, 403, 429 beyond the caller's quota, or 503 if the caller
        cannot be identified.
        """

    async def _identify(
        self, connection: HTTPConnection, response: Response, needed: SecurityScopes
    ) -> Caller:
        response.headers.setdefault("Cache-Control", "private, no-store")
        token = _read_bearer_token(connection)
        try:
            caller = await get_services(connection).identify_caller()(token)
        except ApplicationError as error:
            if isinstance(error, InvalidToken):
                _log_refusal(connection, str(error), kid=error.kid, iss=error.issuer)
            raise _refuse(connection, to_problem(error)) from error
        connection.scope[IDENTIFIED] = caller.id
        if COUNTED in connection.scope:  # without limits, a call would cost every request
            await count_caller(connection, caller.id)
        if not caller.scope.issuperset(needed.scopes):
            known = get_services(connection).known_scopes()
            for scope in needed.scopes:
                if scope not in known:  # the application was not started, as in a test
                    raise UndeclaredScope((connection.url.path, scope))
            missing = " ".join(sorted(set(needed.scopes) - caller.scope))
            _log_refusal(
                connection,
                f"the scope lacks {missing}",
                kid=caller.key_id,
                iss=caller.claims.get("iss"),
            )
            raise _refuse(connection, make_insufficient_scope(needed.scopes))
        connection.scope[AUTHENTICATED] = True
        return caller


class _BearerAuthentication(BearerScheme):
    """Requires a token."""

    scheme_name = SIGN_IN

    async def __call__(
        self, connection: HTTPConnection, response: Response, needed: SecurityScopes
    ) -> Caller:
        return await self._identify(connection, response, needed)


class _OptionalAuthentication(BearerScheme):
    """Accepts requests without credentials too."""

    scheme_name = OPTIONAL
    auto_error = False

    async def __call__(
        self, connection: HTTPConnection, response: Response, needed: SecurityScopes
    ) -> Caller | None:
        if _list_credentials(connection):
            return await self._identify(connection, response, needed)
        response.headers.setdefault("Cache-Control", "private, no-store")
        response.headers.add_vary_header("Authorization")
        return None


def _log_refusal(connection: HTTPConnection, reason: str, **about: object) -> None:
    """Log why a token is refused, without the token."""
    level = logging.getLevelName(
        get_services(connection).settings().refused_token_log_level.upper()
    )
    extra = {"request_id": getattr(connection.state, "request_id", None), "reason": reason, **about}
    _log.log(level, "token_refused", extra=extra)


def _refuse(connection: HTTPConnection, problem: Problem) -> ProblemError:
    """Make a refusal whose challenge leads to the metadata."""
    return ProblemError(add_metadata(problem, get_services(connection).settings().resource))


def _read_bearer_token(connection: HTTPConnection) -> str:
    given = _list_credentials(connection)
    if len(given) > 1:
        raise _refuse(connection, REPEATED_AUTHORIZATION)
    scheme, _, token = (given[0] if given else "").partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token:
        raise _refuse(connection, MISSING_TOKEN)
    return token


def _list_credentials(connection: HTTPConnection) -> list[str]:
    """Return the values of `Authorization`, and tokens among WebSocket protocols."""
    given = read_field_values(connection, b"authorization")
    for protocol in connection.scope.get("subprotocols", ()):
        if protocol.startswith(_TOKEN_PROTOCOL):
            given.append(f"Bearer {protocol.removeprefix(_TOKEN_PROTOCOL)}")
    return given


bearer_authentication = _BearerAuthentication()
optional_authentication = _OptionalAuthentication()


def authorized(*scopes: str) -> Security:
    """Depend on a caller whose token has all of these scopes (RFC 6750, section 3.1).

    Each is an argument of its own. Raises `InvalidScopeDeclaration` for other values.
    """
    for scope in scopes:
        require_scope_name(scope)
    return Security(bearer_authentication, scopes=scopes)


authenticated = authorized()
"""For routers that do not need the caller: `include_router(…, dependencies=[authenticated])`."""

CurrentUser = Annotated[Caller, authenticated]
"""For routes that need the caller: `async def mine(user: CurrentUser)`."""

OptionalUser = Annotated[Caller | None, Security(optional_authentication)]
"""For routes that answer anonymous callers too: `None` is a request without a token."""

OrderReader = Annotated[Caller, authorized(Scope.ORDERS_READ)]
OrderWriter = Annotated[Caller, authorized(Scope.ORDERS_WRITE)]
AccountHolder = Annotated[Caller, authorized(Scope.ACCOUNT)]
