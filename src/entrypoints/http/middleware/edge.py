"""The request id and the security headers of every answer."""

import asyncio
import logging
import re
from collections.abc import Collection, Iterable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from ordergate.application.random_numbers import draw_128_bits
from ordergate.entrypoints.http.problems.catalog import INTERNAL, SHUTTING_DOWN
from ordergate.entrypoints.http.problems.problem import MEDIA_TYPE, OAUTH_MEDIA_TYPE, Problem
from ordergate.entrypoints.http.problems.sockets import refuse_socket
from ordergate.entrypoints.http.requests.request_heads import find_head_problem
from ordergate.entrypoints.http.services import SERVICES

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer, unless a route sets its own."""

_RAW_HEADERS = [
    (name.lower().encode(), value.encode())
    for name, value in {**HEADERS, "Cache-Control": "no-store"}.items()
]
_ID = b"x-request-id"
_PROBLEM = (b"content-type", MEDIA_TYPE.encode())
_STARTS = {"http.response.start", "websocket.http.response.start"}
_OAUTH_PROBLEM = (b"content-type", OAUTH_MEDIA_TYPE.encode())

_log = logging.getLogger("ordergate.http")


class EdgeMiddleware:
    """The outermost middleware.

    The request id is the client's `X-Request-ID` (1 to 64 letters, digits, `.`, `_`, `-`) or a new
    one. It is returned, logged and part of every problem. An unexpected exception is logged, and
    raised again after its answer, for the server and for error reporters. A request that a shutdown
    interrupts is answered as 503. A malformed head reaches no other layer. The problems of
    `oauth_paths` have the media type of OAuth2's errors. Other answers only gain headers.
    """

    def __init__(
        self, app: ASGIApp, oauth_paths: Collection[str] = (), services: object = None
    ) -> None:
        self.app = app
        self._oauth_paths = oauth_paths
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one WebSocket."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        request_id = _choose_request_id(scope)
        scope[SERVICES] = self._services
        scope.setdefault("state", {})["request_id"] = request_id
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        answer = _SentAnswer(scope, send, request_id, is_oauth=path in self._oauth_paths)
        is_socket = scope["type"] == "websocket"
        if problem := find_head_problem(scope):
            if is_socket:
                await refuse_socket(WebSocket(scope, receive, answer.send), problem.answer(scope))
            else:
                await answer.send_problem(problem)
            return
        try:
            await self.app(scope, receive, answer.send)
        except ClientDisconnect:
            return  # the client has disconnected
        except asyncio.CancelledError:
            if answer.started or is_socket:
                raise
            await answer.send_problem(SHUTTING_DOWN)
        except Exception:
            method = "WebSocket" if is_socket else scope["method"]
            where = {"request_id": request_id, "method": method, "path": scope["path"]}
            _log.exception("unexpected_error", extra=where)
            if not (answer.started or is_socket):
                await answer.send_problem(INTERNAL)
            raise


class _SentAnswer:
    """An answer that is sent."""

    __slots__ = ("_is_oauth", "_request_id", "_scope", "_send", "started")

    def __init__(self, scope: Scope, send: Send, request_id: str, *, is_oauth: bool) -> None:
        self._send = send
        self._request_id = request_id
        self._is_oauth = is_oauth
        self._scope = scope
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] in _STARTS:
            self.started = True
            message["headers"] = self._complete(message["headers"])
        await self._send(message)

    async def send_problem(self, problem: Problem) -> None:
        response = problem.answer(self._scope)
        start = {"status": response.status_code, "headers": response.raw_headers}
        await self.send({"type": "http.response.start", **start})
        await self._send({"type": "http.response.body", "body": response.body})

    def _complete(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        completed = [header for header in headers if header[0] != _ID]
        if self._is_oauth and _PROBLEM in completed:
            completed[completed.index(_PROBLEM)] = _OAUTH_PROBLEM
        names = [name for name, _ in completed]
        completed.append((_ID, self._request_id.encode()))
        completed += [header for header in _RAW_HEADERS if header[0] not in names]
        return completed


def _choose_request_id(scope: Scope) -> str:
    given: list[bytes] = [value for name, value in scope["headers"] if name == _ID]
    if len(given) == 1 and _REQUEST_ID.fullmatch(text := given[0].decode("latin-1")):
        return text
    return f"{draw_128_bits():032x}"
