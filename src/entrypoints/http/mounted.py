"""The applications that are mounted below another one."""

from collections.abc import Iterable, Iterator

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp


def list_mounted(routes: Iterable[BaseRoute]) -> Iterator[Starlette]:
    """Yield the mounted applications, also within middleware and below each other."""
    for _, app in locate_mounted(routes):
        yield app


def locate_mounted(
    routes: Iterable[BaseRoute], prefix: str = ""
) -> Iterator[tuple[str, Starlette]]:
    """Yield each mounted application with its path."""
    for context in iter_route_contexts([*routes]):
        if not isinstance(context.original_route, Mount):
            continue
        app, path = unwrap(context.original_route.app), f"{prefix}{context.path}"
        if isinstance(app, Starlette):
            yield path, app
            yield from locate_mounted(app.routes, path)


def unwrap(app: ASGIApp) -> ASGIApp:
    """Return the application within middleware, if it is one of Starlette's."""
    inner: object = app
    while not isinstance(inner, Starlette):
        inner = getattr(inner, "app", None)
        if inner is None:
            return app
    return inner


def list_around(started: Starlette, own: Starlette) -> Iterator[tuple[str, FastAPI]]:
    """Yield applications above and beside a mounted one, with its path."""
    places = {id(app): path for path, app in locate_mounted(started.routes)}
    below = {id(own), *map(id, list_mounted(own.routes))}
    if id(own) in places:
        for each in (started, *list_mounted(started.routes)):
            if isinstance(each, FastAPI) and id(each) not in below:
                yield places[id(own)], each
