"""The template of the path of a request."""

from collections.abc import Sequence

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope

from ordergate.entrypoints.http.mounted import unwrap


def find_reached_template(routes: Sequence[BaseRoute], scope: Scope) -> str | None:
    """Return the template of a request that FastAPI has served, like `find_template`.

    The scope has the route that was reached, so no other route of the application is matched again.
    """
    if route := scope.get("route"):
        for context in iter_route_contexts(routes):
            # A router that is included twice has a context of one route for each prefix.
            if context.original_route is route and context.matches(scope)[0] is not Match.NONE:
                return context.path_format or None
    return find_template(routes, scope)


def find_template(routes: Sequence[BaseRoute], scope: Scope) -> str | None:
    """Return the template of a request's path, such as `/orders/{id}`.

    It is that of the first route that matches, else of the first that other methods reach. A
    mounted application that names no routes has the template of its mount.
    """
    partial: str | None = None
    for context in iter_route_contexts(routes):
        match, more = context.matches(scope)
        if match is Match.NONE:
            continue
        route = context.original_route
        if isinstance(route, Mount):
            inner = getattr(unwrap(route.app), "routes", ())
            template = f"{context.path}{find_template(inner, {**scope, **more}) or ''}"
        else:
            template = context.path_format or ""
        if match is Match.FULL:
            return template or None
        partial = partial or template
    return partial
