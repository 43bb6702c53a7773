"""A limit for bodies, checked before the application runs."""

from contextlib import suppress

from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ordergate.entrypoints.http.requests.fields import field_values


class BodyLimit(RequestBodyLimitMiddleware):
    """Rejects an oversized `Content-Length` before the application runs.

    Starlette checks when the body is read or the answer begins, which is too late for an
    application that ignores the body.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            if _has_no_body(scope):
                await self.app(scope, receive, send)
                return
            lengths = field_values(HTTPConnection(scope), b"content-length")
            with suppress(ValueError):  # that is the server's to refuse
                if any(int(length) > self.max_body_size for length in lengths):
                    await Response(status_code=413)(scope, receive, send)
                    return
        await super().__call__(scope, receive, send)


def _has_no_body(scope: Scope) -> bool:
    """Return whether a request has no body for certain (RFC 9112, section 6.3)."""
    return scope["http_version"] in {"1.0", "1.1"} and not any(
        name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"]
    )
