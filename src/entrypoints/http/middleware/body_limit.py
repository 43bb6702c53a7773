"""A limit for bodies, checked before the application runs."""

from collections.abc import Iterable
from contextlib import suppress

from fastapi.routing import iter_route_contexts
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Message, Receive, Scope, Send

from ordergate.entrypoints.http.problems.catalog import TOO_LARGE
from ordergate.entrypoints.http.requests.fields import read_field_values

_PLAIN_TEXT = frozenset(PlainTextResponse("Content Too Large").raw_headers)


class BodyLimit(RequestBodyLimitMiddleware):
    """Rejects an oversized `Content-Length` before the application runs.

    Starlette checks when the body is read or the answer begins, which is too late for an
    application that ignores the body. A route or router with a `max_body_size` of its own has that
    limit instead.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            if _has_no_body(scope):
                await self.app(scope, receive, send)
                return
            lengths = read_field_values(HTTPConnection(scope), b"content-length")
            with suppress(ValueError):  # that is the server's to refuse
                length = max(map(int, lengths), default=0)
                if length > self.max_body_size and length > _find_own_limit(scope):
                    await _answer_too_large(scope, receive, send)
                    return
            send = _replace_plain_text(scope, receive, send)
        await super().__call__(scope, receive, send)


def _find_own_limit(scope: Scope) -> int:
    """Return the `max_body_size` of the route of a request, or 0."""
    return _find_limit(scope["app"].routes, scope) or 0


def _find_limit(routes: Iterable[BaseRoute], scope: Scope) -> int | None:
    for context in iter_route_contexts([*routes]):
        match, more = context.matches(scope)
        if match is Match.FULL:
            route = context.original_route
            if not isinstance(route, Mount):
                return getattr(context, "max_body_size", None)
            inner = _find_limit(route.routes, {**scope, **more})
            return getattr(route.app, "max_body_size", None) if inner is None else inner
    return None


async def _answer_too_large(scope: Scope, receive: Receive, send: Send) -> None:
    answer = TOO_LARGE.answer(scope)
    await answer(scope, receive, send)


def _replace_plain_text(scope: Scope, receive: Receive, send: Send) -> Send:
    """Replace Starlette's own 413, which no handler of exceptions sees."""
    replaced = False

    async def replacing(message: Message) -> None:
        nonlocal replaced
        if message["type"] == "http.response.start" and message["status"] == TOO_LARGE.status:
            replaced = _PLAIN_TEXT.issuperset(message["headers"])
            if replaced:
                await _answer_too_large(scope, receive, send)
        if not replaced:
            await send(message)

    return replacing


def _has_no_body(scope: Scope) -> bool:
    """Return whether a request has no body for certain (RFC 9112, section 6.3)."""
    return scope["http_version"] in {"1.0", "1.1"} and not any(
        name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"]
    )
