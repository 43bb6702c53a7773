"""A FastAPI application whose own middleware surrounds the middleware of others."""

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp


class Application(FastAPI):
    """The application that `create_app` returns.

    `add_middleware` adds inside of `surrounding`, so the middleware of an adopter sees the client's
    address, the scheme and the request id.
    """

    surrounding: tuple[Middleware, ...] = ()
    """Middleware around every other part, from the innermost to the outermost."""

    def build_middleware_stack(self) -> ASGIApp:
        """Surround FastAPI's stack, which answers unexpected exceptions and raises them again."""
        app = super().build_middleware_stack()
        for middleware, arguments, options in self.surrounding:
            app = middleware(app, *arguments, **options)
        return app
