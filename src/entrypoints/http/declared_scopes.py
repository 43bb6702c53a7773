"""Check at the start that every required scope is declared."""

from collections.abc import Collection, Iterable, Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount

from ordergate.entrypoints.http.mounted import unwrap
from ordergate.entrypoints.http.requests.dependants import list_scopes, walk_dependants
from ordergate.entrypoints.http.security import BearerScheme, UndeclaredScope


def require_declared_scopes(routes: Iterable[BaseRoute], declared: Collection[str]) -> None:
    """Raise `UndeclaredScope` if a route requires a scope that is not declared.

    Scopes of other security schemes do not count.
    """
    undeclared = [
        (route, scope) for route, scope in _list_required(routes) if scope not in declared
    ]
    if undeclared:
        raise UndeclaredScope(*undeclared)


def _list_required(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each route, such as `GET /notes`, with each of its scopes."""
    for context in iter_route_contexts([*routes]):
        original = context.original_route
        if isinstance(original, Mount):
            routes = getattr(unwrap(original.app), "routes", original.routes)
            yield from _list_required(routes, f"{prefix}{original.path}")
            continue
        dependant = getattr(context, "dependant", None)
        if isinstance(dependant, Dependant):
            methods = "/".join(sorted(context.methods or {"WebSocket"}))
            scopes = {
                scope
                for each in walk_dependants(dependant)
                if isinstance(each.call, BearerScheme)
                for scope in list_scopes(each)
            }
            for scope in sorted(scopes):
                yield f"{methods} {prefix}{context.path}", scope
