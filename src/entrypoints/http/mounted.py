"""The applications that are mounted below another one."""

from collections.abc import Iterable, Iterator

from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount


def list_mounted(routes: Iterable[BaseRoute]) -> Iterator[Starlette]:
    """Yield the mounted applications, also within middleware and below each other."""
    for context in iter_route_contexts([*routes]):
        if not isinstance(context.original_route, Mount):
            continue
        app = context.original_route.app
        while not isinstance(app, Starlette) and hasattr(app, "app"):
            app = app.app
        if isinstance(app, Starlette):
            yield app
            yield from list_mounted(app.routes)
