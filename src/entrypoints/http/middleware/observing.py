"""What became of each request, for the access log and for metrics."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple, Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ordergate.domain.user import UserId
from ordergate.entrypoints.http.problems.problem import TRACE_ID, Problem
from ordergate.entrypoints.http.requests.origin import read_address
from ordergate.entrypoints.http.requests.route_templates import find_reached_template
from ordergate.entrypoints.http.security import IDENTIFIED

UNMATCHED = "unmatched"
"""The route of a request that reaches none; the path of such a request may have any content."""

CLIENT_GONE = 499
"""The status, as in nginx, of a request whose client disconnected before the answer."""

COMPILED = "ordergate.route"
"""The key in the scope of a request with its compiled route."""

REFUSAL = "ordergate.refusal"
"""The key in the state of a request with the problem that the server has answered itself.

The body is malformed or slow, and the application sees a client that disconnects.
"""

_SEEN = "ordergate.seen"
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE", "CONNECT"}
)
_OTHER_METHOD = "OTHER"


class FinishedRequest(NamedTuple):
    """A request and its answer, without anything that only the client chooses.

    `route` is the template of the path, such as `/orders/{id}`, or `UNMATCHED`. `seconds` end when
    the server has the whole answer, whose body has `size` bytes. `user` is the caller, also of a
    request that the scope of the token does not allow.
    """

    method: str
    route: str
    status: int
    seconds: float
    size: int
    user: UserId | None
    address: str
    request_id: str


Observe = Callable[[FinishedRequest], None]
"""Is called once for each request, and neither fails nor waits."""


class RequestSpan(Protocol):
    """The part of a trace that is a request."""

    @property
    def trace_id(self) -> str | None:
        """The trace that it belongs to, also if that is not recorded."""

    @property
    def is_recorded(self) -> bool:
        """Whether it is in the sample."""

    def end(self, route: str | None, status: int | None) -> None:
        """End it.

        `None` is a request without a route, or without an answer.
        """


BeginSpan = Callable[[str, Sequence[tuple[bytes, bytes]], str], RequestSpan]
"""Begins the span of a request: its method, its headers and its scheme."""


class ObservedRequests:
    """Calls observers after each HTTP request, within its span if any.

    It surrounds the middleware that answers errors, within the one that reads the client's address.
    `NotedRoutes` tells it the route.
    """

    def __init__(
        self, app: ASGIApp, observers: Sequence[Observe], begin_span: BeginSpan | None = None
    ) -> None:
        self.app = app
        self._observers = observers
        self._begin_span = begin_span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        span = _begin(self._begin_span, scope) if self._begin_span else None
        if span is not None and not span.is_recorded and not self._observers:
            try:
                await self.app(scope, receive, send)
            finally:
                span.end(None, None)
            return
        seen = scope[_SEEN] = _Seen(send)
        try:
            await self.app(scope, receive, seen.send)
        finally:
            del scope[_SEEN]  # a cycle with `send`, which only the garbage collector would free
            finished = seen.finish(scope)
            for observe in self._observers:
                observe(finished)
            if span is not None:
                _end(span, finished)


class NotedRoutes:
    """Notes the route and the caller of each request.

    Other middleware copies the scope of some requests, so it stands next to the routes.
    """

    def __init__(self, app: ASGIApp, of: Starlette) -> None:
        self.app = app
        self._of = of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        seen: _Seen | None = scope.get(_SEEN)
        if seen is None:
            await self.app(scope, receive, send)
            return
        root_path = scope.get("root_path", "")
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            seen.client_is_gone = True  # it does not get the answer that Starlette sends now
            raise
        finally:
            seen.user = scope.get(IDENTIFIED)
            seen.route = self._find_template(scope, root_path) or UNMATCHED

    def _find_template(self, scope: Scope, root_path: str) -> str | None:
        if compiled := scope.get(COMPILED):
            template: str = compiled.template
            return template
        if "router" in scope and "endpoint" not in scope:  # no route matched: a scan, perhaps
            return None
        scope = {**scope, "root_path": root_path}  # a mount moves it
        return find_reached_template(self._of.routes, scope)


class _Seen:
    """What is known of a request so far."""

    __slots__ = ("_began", "_send", "_size", "_status", "client_is_gone", "route", "user")

    def __init__(self, send: Send) -> None:
        self._began = perf_counter()
        self._send = send
        self._status = CLIENT_GONE
        self._size = 0
        self.client_is_gone = False
        self.route = UNMATCHED
        self.user: UserId | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        else:
            self._size += len(message.get("body", b""))
        await self._send(message)

    def finish(self, scope: Scope) -> FinishedRequest:
        state = scope["state"]
        request_id: str = state["request_id"]
        refusal: Problem | None = state.get(REFUSAL)
        if refusal:
            self._status, self._size = refusal.status, len(refusal.response(request_id).body)
        elif self.client_is_gone:
            self._status, self._size = CLIENT_GONE, 0
        return FinishedRequest(
            _name_method(scope),
            self.route,
            self._status,
            perf_counter() - self._began,
            self._size,
            self.user,
            read_address(scope),
            request_id,
        )


def _name_method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else _OTHER_METHOD


def _begin(begin: BeginSpan, scope: Scope) -> RequestSpan:
    span = begin(_name_method(scope), scope["headers"], scope["scheme"])
    scope.setdefault("state", {})[TRACE_ID] = span.trace_id
    return span


def _end(span: RequestSpan, finished: FinishedRequest) -> None:
    route = None if finished.route == UNMATCHED else finished.route
    span.end(route, None if finished.status == CLIENT_GONE else finished.status)
