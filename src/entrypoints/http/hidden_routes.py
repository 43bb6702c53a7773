"""Check at the start that Ordergate's routes hide none of an adopter's."""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Scope

from ordergate.entrypoints.http.mounted import unwrap

_ANY_NAME = "…"
"""The end of an address below a mounted application whose routes are unknown."""


_log = logging.getLogger("ordergate.server")


class HiddenRoute(Exception):
    """A request never reaches a route of the adopter."""

    def __init__(self, *routes: tuple[str, str]) -> None:
        hidden = ", ".join(f"{route} (hidden by {own})" for route, own in routes)
        super().__init__(
            f"no request reaches {hidden}, because the routes of Ordergate come first; include the"
            " router with a prefix, or mount the application at another path"
        )


def require_reachable_routes(own: Sequence[BaseRoute], others: Iterable[BaseRoute]) -> None:
    """Raise `HiddenRoute` if a route matches every request to a later route.

    Hidden documentation of a mounted application, which it has by default, is only logged.
    """
    hidden = [*_list_hidden([*iter_route_contexts(own)], others)]
    if serious := [(route, by) for route, by, is_documentation in hidden if not is_documentation]:
        raise HiddenRoute(*serious)
    if hidden:
        names = ", ".join(route for route, _, _ in hidden)
        _log.warning("documentation_hidden", extra={"routes": names})


def _list_hidden(
    own: list[RouteContext], others: Iterable[BaseRoute]
) -> Iterator[tuple[str, str, bool]]:
    """Yield each hidden route, its hiding route, and whether it is documentation."""
    for methods, path, is_documentation in _list_addresses(others):
        for method in sorted({"GET" if each == "HEAD" else each for each in methods}):
            scope: Scope = {"type": "http", "method": method, "path": path, "headers": []}
            for each in own:
                if each.matches(scope)[0] is Match.FULL:
                    yield f"{method} {path}", f"{method} {each.path}", is_documentation
                    break


def _list_addresses(
    routes: Iterable[BaseRoute], prefix: str = "", documentation: Collection[str | None] = ()
) -> Iterator[tuple[Iterable[str], str, bool]]:
    """Yield every route's methods and path, also of mounted applications.

    The third part says whether the path is in `documentation`.
    """
    for context in iter_route_contexts([*routes]):
        path = f"{prefix}{context.path}"
        if not isinstance(context.original_route, Mount):
            yield context.methods or (), path, context.path in documentation
            continue
        app = unwrap(context.original_route.app)
        inner = app.routes if isinstance(app, Starlette) else context.original_route.routes
        if inner:
            yield from _list_addresses(inner, path, _list_documentation(app))
        else:
            yield ["GET"], f"{path}/{_ANY_NAME}", False


def _list_documentation(app: ASGIApp) -> Collection[str | None]:
    if not isinstance(app, FastAPI):
        return ()
    return {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
