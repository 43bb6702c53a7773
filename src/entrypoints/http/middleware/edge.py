"""The request id, security headers and problems of every answer."""

import asyncio
import errno
import logging
import re
from collections.abc import Collection, Iterable

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ordergate.application.random_numbers import random_128_bits
from ordergate.entrypoints.http.problems.catalog import INTERNAL, NO_DESCRIPTORS, SHUTTING_DOWN
from ordergate.entrypoints.http.problems.problem import (
    MEDIA_TYPE,
    OAUTH_MEDIA_TYPE,
    Problem,
    problem_for_status,
)
from ordergate.entrypoints.http.requests.request_heads import head_problem

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
_FIRST_ERROR = 400
_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE}

_log = logging.getLogger("ordergate.http")


class EdgeMiddleware:
    """The outermost middleware.

    The request id is the client's `X-Request-ID` (1 to 64 letters, digits, `.`, `_`, `-`) or a new
    one. It is returned, logged and part of every problem. An unexpected exception is logged and
    answered as 500, or as 503 for a lack of file descriptors. A request that a shutdown interrupts
    is answered as 503. Errors of another form become problems. A malformed head reaches no other
    layer. The problems of `oauth_paths` have the media type of OAuth2's errors.
    """

    def __init__(self, app: ASGIApp, oauth_paths: Collection[str] = ()) -> None:
        self.app = app
        self._oauth_paths = oauth_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        media_type = OAUTH_MEDIA_TYPE if path in self._oauth_paths else MEDIA_TYPE
        answer = _Answer(send, request_id, media_type)
        if problem := head_problem(scope):
            await answer.send_problem(problem)
            return
        try:
            await self.app(scope, receive, answer.send)
        except ClientDisconnect:
            return  # the client has disconnected
        except asyncio.CancelledError:
            if answer.started:
                raise
            await answer.send_problem(SHUTTING_DOWN)
        except Exception as error:
            where = {"request_id": request_id, "method": scope["method"], "path": scope["path"]}
            _log.exception("unexpected_error", extra=where)
            if answer.started:
                raise
            await answer.send_problem(NO_DESCRIPTORS if _lacks_descriptors(error) else INTERNAL)


class _Answer:
    """An answer that is sent."""

    __slots__ = ("_media_type", "_replaced", "_request_id", "_send", "started")

    def __init__(self, send: Send, request_id: str, media_type: str) -> None:
        self._send = send
        self._media_type = media_type
        self._request_id = request_id
        self._replaced = False
        self.started = False

    async def send(self, message: Message) -> None:
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            self.started = True
            status = message["status"]
            if status >= _FIRST_ERROR:
                headers = Headers(raw=list(message["headers"]))
                if headers.get("content-type") != MEDIA_TYPE:
                    self._replaced = True
                    kept = {k: v for k, v in headers.items() if not k.startswith("content-")}
                    await self.send_problem(problem_for_status(status, kept))
                    return
                message["headers"] = [
                    (name, self._media_type.encode() if name == b"content-type" else value)
                    for name, value in message["headers"]
                ]
            message["headers"] = self._completed(message["headers"])
        await self._send(message)

    async def send_problem(self, problem: Problem) -> None:
        response = problem.response(self._request_id, self._media_type)
        start = {
            "status": response.status_code,
            "headers": self._completed(response.raw_headers),
        }
        await self._send({"type": "http.response.start", **start})
        await self._send({"type": "http.response.body", "body": response.body})

    def _completed(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        completed = [header for header in headers if header[0] != _ID]
        names = [name for name, _ in completed]
        completed.append((_ID, self._request_id.encode()))
        completed += [header for header in _RAW_HEADERS if header[0] not in names]
        return completed


def _lacks_descriptors(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
            return True
        error = error.__cause__ or error.__context__
    return False


def _request_id(scope: Scope) -> str:
    given: list[bytes] = [value for name, value in scope["headers"] if name == _ID]
    if len(given) == 1 and _REQUEST_ID.fullmatch(text := given[0].decode("latin-1")):
        return text
    return f"{random_128_bits():032x}"
