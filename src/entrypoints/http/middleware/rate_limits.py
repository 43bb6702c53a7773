"""Limits of requests by address and by user."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from ordergate.application.ports.rate_limits import Allowance, RateLimiter
from ordergate.domain.user import UserId
from ordergate.entrypoints.http.problems.problem import Problem, ProblemError
from ordergate.entrypoints.http.problems.quotas import (
    LIMIT_FIELD,
    POLICY_FIELD,
    make_quota_exceeded,
    write_allowances,
    write_policies,
)
from ordergate.entrypoints.http.problems.sockets import refuse_socket
from ordergate.entrypoints.http.requests.origin import read_address

COUNTED = "ordergate.counted"
"""The key in the scope of a request that is counted."""

UNLIMITED = frozenset({"/livez", "/readyz"})
"""The paths of supervisors and load balancers."""

_STARTS = {"http.response.start", "websocket.http.response.start"}
_LIMIT = LIMIT_FIELD.lower().encode()


class LimitedRequests:
    """Counts each request for its address, before any work.

    The caller is counted when the token is verified. Every answer has the header fields.
    """

    def __init__(self, app: ASGIApp, limiter: RateLimiter) -> None:
        self.app = app
        self._limiter = limiter
        self._policies = POLICY_FIELD.lower().encode(), write_policies(limiter.quotas).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one WebSocket."""
        if scope["type"] == "lifespan" or _find_own_path(scope) in UNLIMITED:
            await self.app(scope, receive, send)
            return
        counted = scope[COUNTED] = CountedRequest(self._limiter)

        async def sending(message: Message) -> None:
            if message["type"] in _STARTS:
                limits = _LIMIT, write_allowances(counted.allowances).encode()
                own = [self._policies, *([limits] if limits[1] else [])]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        problem = await counted.count_address(read_address(scope))
        if problem is None:
            await self.app(scope, receive, sending)
        elif scope["type"] == "websocket":
            await refuse_socket(WebSocket(scope, receive, sending), problem.answer(scope))
        else:
            await problem.answer(scope)(scope, receive, sending)


class CountedRequest:
    """What the limits leave after a request."""

    __slots__ = ("_limiter", "_of_clients", "allowances")

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._of_clients: dict[UserId, Allowance | None] = {}
        self.allowances: list[Allowance] = []

    async def count_address(self, address: str) -> Problem | None:
        """Count the request for its address; return a refusal."""
        return self._note(await self._limiter.count_address(address))

    async def count_client(self, user: UserId) -> Problem | None:
        """Count the request for its user, once; return a refusal.

        The dependencies of a route may identify the caller several times.
        """
        if user in self._of_clients:
            return _refuse(self._of_clients[user])
        self._of_clients[user] = allowance = await self._limiter.count_client(user)
        return self._note(allowance)

    def _note(self, allowance: Allowance | None) -> Problem | None:
        if allowance is not None:
            self.allowances.append(allowance)
        return _refuse(allowance)


async def count_caller(connection: HTTPConnection, user: UserId) -> None:
    """Count a request for the user of its token.

    Raises `ProblemError` when it is one too many. The request has `COUNTED` in its scope.
    """
    counted: CountedRequest = connection.scope[COUNTED]
    if problem := await counted.count_client(user):
        raise ProblemError(problem)


def _refuse(allowance: Allowance | None) -> Problem | None:
    if allowance is None or allowance.is_allowed:
        return None
    return make_quota_exceeded(allowance.policy, allowance.seconds)


def _find_own_path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
