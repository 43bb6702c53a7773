"""The compiled routes of an application that are read from, found by one look."""

from fastapi import FastAPI
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.http.compiled_route import CompiledRoute

_ERROR = "ordergate.error"


class RouteTable:
    """A middleware: answers what is a GET of a compiled route of `of`, and hands on the rest.

    FastAPI asks one route after the other whether it is meant, and makes ready for bodies and files
    at each request, which a GET has none of (RFC 9110, section 9.3.1). An address that is written
    out comes before one with parameters in it, and both before routes that are not compiled. What
    comes to a mounted application is handed on.
    """

    def __init__(self, app: ASGIApp, of: FastAPI) -> None:
        self._app = app
        routes = [
            route
            for route in of.routes
            if isinstance(route, CompiledRoute)
            and route.is_compiled
            and "GET" in (route.methods or ())
        ]
        self._patterns = [route for route in routes if route.param_convertors]
        # Reversed, so that of two at one address the first is kept.
        self._fixed = {
            route.path: route for route in reversed(routes) if not route.param_convertors
        }
        handlers = {
            kind: each
            for kind, each in of.exception_handlers.items()
            if kind not in {500, Exception}
        }
        self._errors = ExceptionMiddleware(_raise, handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        route = self._found(scope)
        if route is None:
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await route.handle(scope, receive, sending)
        except Exception as error:
            if started:
                raise
            scope[_ERROR] = error
            await self._errors(scope, receive, send)

    def _found(self, scope: Scope) -> CompiledRoute | None:
        """Find the route that is meant, and tell the scope as a router does."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope.get("root_path"):
            return None
        route = self._fixed.get(scope["path"])
        if route is not None:
            scope.update({"route": route, "endpoint": route.endpoint, "path_params": {}})
            return route
        for each in self._patterns:
            match, found = each.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                return each
        return None


async def _raise(scope: Scope, _receive: Receive, _send: Send) -> None:
    raise scope[_ERROR]
