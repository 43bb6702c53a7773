"""The compiled routes of an application, found before all others."""

import re

from fastapi import FastAPI
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Match, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ordergate.entrypoints.http.compiled.compiled_route import CompiledRoute
from ordergate.entrypoints.http.middleware.body_limit import BodyLimit

_ERROR = "ordergate.error"


class RouteTable:
    """A middleware that runs the compiled routes of `of` and passes other requests on.

    FastAPI matches routes linearly and sets up file handling for every request. The table finds
    static paths in a dict. They precede paths with parameters, and both precede routes that are not
    compiled. Requests of mounted applications are passed on. A body has at most `max_body_size`
    bytes; GET routes without a body skip that check.

    The routes of `of` match whole paths from now on; those of included routers match as
    Starlette's.
    """

    def __init__(self, app: ASGIApp, of: FastAPI, max_body_size: int) -> None:
        self._app = app
        self._with_body = BodyLimit(self._answer, max_body_size)
        for route in of.routes:
            if isinstance(route, Mount | Route):
                # Starlette's patterns end in `$`, which matches before a final newline too.
                whole = route.path_regex.pattern.removesuffix("$") + r"\Z"
                route.path_regex = re.compile(whole)
        routes = [
            route for route in of.routes if isinstance(route, CompiledRoute) and route.is_compiled
        ]
        self._patterns = [route for route in routes if route.param_convertors]
        # Reversed, so that of two at one address the first is kept.
        self._fixed = {
            (method, route.path): route
            for route in reversed(routes)
            if not route.param_convertors
            for method in route.methods or ()
        }
        handlers = {
            kind: each
            for kind, each in of.exception_handlers.items()
            if kind not in {500, Exception}
        }
        self._errors = ExceptionMiddleware(_raise, handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        answer = self._app
        if scope["type"] == "http" and not scope.get("root_path") and self._finds(scope):
            reads_none = scope["method"] == "GET" and scope["route"].body_field is None
            answer = self._answer if reads_none else self._with_body
        await answer(scope, receive, send)

    def _finds(self, scope: Scope) -> bool:
        """Find the route that is meant, and tell the scope as a router does."""
        route = self._fixed.get((scope["method"], scope["path"]))
        if route is not None:
            scope.update({"route": route, "endpoint": route.endpoint, "path_params": {}})
            return True
        for each in self._patterns:
            match, found = each.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                return True
        return False

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await scope["route"].handle(scope, receive, sending)
        except Exception as error:
            if started:
                raise
            scope[_ERROR] = error
            await self._errors(scope, receive, send)


async def _raise(scope: Scope, _receive: Receive, _send: Send) -> None:
    # Kept there, it would be in a cycle with its traceback, and so would the body: for megabytes.
    raise scope.pop(_ERROR)
