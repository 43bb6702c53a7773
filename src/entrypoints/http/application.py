"""A FastAPI application whose own middleware surrounds the middleware of others."""

from collections.abc import Callable

from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from ordergate.entrypoints.http.mounted import list_mounted
from ordergate.entrypoints.http.openapi.root_path import move_document


class Application(FastAPI):
    """The application that `create_app` returns.

    `add_middleware` adds inside of `surrounding`, so the middleware of an adopter sees the client's
    address, the scheme and the request id.
    """

    surrounding: tuple[Middleware, ...] = ()
    """Middleware around every other part, from the innermost to the outermost."""

    prepare_mounted: Callable[[Starlette], None] | None = None
    """What the start does for each application that is mounted below this one."""

    def setup(self) -> None:
        """Serve the document at `/openapi.json`."""
        self.add_route("/openapi.json", self._send_document, include_in_schema=False)

    async def _send_document(self, request: Request) -> JSONResponse:
        root_path = request.scope.get("root_path", "").rstrip("/")
        return JSONResponse(move_document(self.openapi(), root_path))

    def build_middleware_stack(self) -> ASGIApp:
        """Surround FastAPI's stack, which answers unexpected exceptions and raises them again."""
        if self.prepare_mounted:
            for mounted in list_mounted(self.routes):
                self.prepare_mounted(mounted)
        app = super().build_middleware_stack()
        for middleware, arguments, options in self.surrounding:
            app = middleware(app, *arguments, **options)
        return app
