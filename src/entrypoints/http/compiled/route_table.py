"""A table of compiled routes, which answers before FastAPI does."""

from collections.abc import Iterator
from typing import Any

import fastapi
from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from starlette._utils import get_route_path
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ordergate.entrypoints.http.compiled.plan import UnsupportedRoute
from ordergate.entrypoints.http.compiled.route import CompiledRoute
from ordergate.entrypoints.http.middleware.body_limit import BodyLimit
from ordergate.entrypoints.http.middleware.observing import COMPILED

_ERROR = "ordergate.error"
_TESTED_FASTAPI = "0.165."
"""The versions whose internals `Plan` was tested with."""


def compile_routes(app: FastAPI, *, max_body_size: int) -> None:
    """Serve an application's present routes from a table of compiled routes.

    Call it after the routers are included and before the middlewares that surround every request
    are added. FastAPI answers the other requests: those of routes that are not compiled or that are
    added later, and every request while `app.dependency_overrides` has members, or under a version
    of FastAPI that was not tested. A body has at most `max_body_size` bytes.
    """
    if fastapi.__version__.startswith(_TESTED_FASTAPI):
        app.add_middleware(RouteTable, of=app, routes=[*app.routes], max_body_size=max_body_size)


class RouteTable:
    """A middleware that runs compiled routes and passes other requests on.

    FastAPI matches routes linearly and sets up file handling for every request. The table finds
    static paths in a dict. It finds the route that FastAPI would find, or none.
    """

    def __init__(
        self, app: ASGIApp, of: FastAPI, routes: list[BaseRoute], max_body_size: int
    ) -> None:
        self.app = app
        self._of = of
        self._routes = routes
        self._limited = BodyLimit(self._answer, max_body_size)
        self._fixed: dict[tuple[str, str], CompiledRoute] = {}
        self._others: list[tuple[RouteContext, CompiledRoute | None]] = []
        for route in iter_route_contexts(routes):
            self._add(route)
        handlers = {
            kind: each
            for kind, each in of.exception_handlers.items()
            if kind not in {500, Exception}
        }
        self._errors = ExceptionMiddleware(_raise, handlers)

    @property
    def compiled(self) -> list[CompiledRoute]:
        """The routes that the table answers."""
        return [*self._fixed.values(), *(route for _, route in self._others if route)]

    def _add(self, route: RouteContext) -> None:
        try:
            compiled = CompiledRoute(route)
        except UnsupportedRoute:
            self._others.append((route, None))
            return
        if compiled.has_parameters or any(self._match_earlier(compiled)):
            self._others.append((route, compiled))
            return
        for method in compiled.methods:
            self._fixed.setdefault((method, compiled.path), compiled)

    def _match_earlier(self, fixed: CompiledRoute) -> Iterator[bool]:
        """Yield whether each earlier route with parameters matches a static path."""
        for method in fixed.methods:
            scope = {"type": "http", "method": method, "path": fixed.path, "headers": []}
            for route, _ in self._others:
                yield route.matches(scope)[0] is Match.FULL

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if (
            scope["type"] == "http"
            and not self._of.dependency_overrides
            and (route := self._find(scope))
        ):
            scope[COMPILED] = route
            await self._limited(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _find(self, scope: Scope) -> CompiledRoute | None:
        """Return a request's compiled route; describe the match in its scope."""
        if self._of.routes[: len(self._routes)] != self._routes:  # one was added before them
            return None
        path = get_route_path(scope) if scope.get("root_path") else scope["path"]
        route = self._fixed.get((scope["method"], path))
        parameters: dict[str, Any] | None = {}
        if route is None:
            for context, compiled in self._others:
                match, found = context.matches(scope)
                if match is Match.FULL:
                    route, parameters = compiled, found.get("path_params")
                    break
        if route is not None:
            scope["route"], scope["endpoint"] = route.original, route.endpoint
            scope["path_params"] = parameters
        return route

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await scope[COMPILED].handle(scope, receive, sending)
        except Exception as error:
            if started:
                raise
            scope[_ERROR] = error
            await self._errors(scope, receive, send)


async def _raise(scope: Scope, _receive: Receive, _send: Send) -> None:
    # Kept there, it would be in a cycle with its traceback, and so would the body: for megabytes.
    raise scope.pop(_ERROR)
