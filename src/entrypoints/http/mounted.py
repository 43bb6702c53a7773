"""The applications that are mounted below another one."""

from collections.abc import Iterable, Iterator

from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp


def list_mounted(routes: Iterable[BaseRoute]) -> Iterator[Starlette]:
    """Yield the mounted applications, also within middleware and below each other."""
    for context in iter_route_contexts([*routes]):
        if not isinstance(context.original_route, Mount):
            continue
        app = unwrap(context.original_route.app)
        if isinstance(app, Starlette):
            yield app
            yield from list_mounted(app.routes)


def unwrap(app: ASGIApp) -> ASGIApp:
    """Return the application within middleware, if it is one of Starlette's."""
    inner: object = app
    while not isinstance(inner, Starlette):
        inner = getattr(inner, "app", None)
        if inner is None:
            return app
    return inner
