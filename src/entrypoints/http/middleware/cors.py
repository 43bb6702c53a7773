"""Requests of pages from other origins (CORS)."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ordergate.entrypoints.http.problems.problem import Problem

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "X-Request-ID",
    # W3C Trace Context, W3C Baggage and Sentry: libraries for tracing add them to every request.
    "baggage",
    "sentry-trace",
    "traceparent",
    "tracestate",
)
_RESPONSE_HEADERS = (
    "ETag",
    "Link",
    "Location",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
)
_REFUSED = 400


class ReadableAnswers(CORSMiddleware):
    """Lets pages of configured origins read answers.

    It surrounds the middleware that answers in place of the application, so a page can read the
    503 of a shutdown too.
    """

    def __init__(
        self, app: ASGIApp, origins: Collection[str], exposed: Collection[str] = ()
    ) -> None:
        super().__init__(app, allow_origins=origins, expose_headers=[*_RESPONSE_HEADERS, *exposed])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        serve = self.app if _is_preflight(scope) else super().__call__
        await serve(scope, receive, send)


class Preflights(CORSMiddleware):
    """Answers preflights; a refusal is a problem with the reason."""

    def __init__(
        self,
        app: ASGIApp,
        origins: Collection[str],
        headers: Collection[str] = (),
        methods: Collection[str] = (),
    ) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=[*_METHODS, *methods],
            allow_headers=[*_REQUEST_HEADERS, *headers],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not _is_preflight(scope):
            await self.app(scope, receive, send)
            return
        answer = self.preflight_response(Headers(scope=scope))
        if answer.status_code == _REFUSED:
            answer = _refuse(answer, scope)
        await answer(scope, receive, send)


def _is_preflight(scope: Scope) -> bool:
    """Return whether a browser asks for permission (Fetch Standard, section 3.3.2)."""
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    headers = Headers(scope=scope)
    return "origin" in headers and "access-control-request-method" in headers


def _refuse(refusal: Response, scope: Scope) -> Response:
    """Return a refusal as a problem with the same headers."""
    headers = {
        name: value for name, value in refusal.headers.items() if not name.startswith("content-")
    }
    reason = bytes(refusal.body).decode()
    return Problem(_REFUSED, f"{reason}.", headers=headers).answer(scope)
