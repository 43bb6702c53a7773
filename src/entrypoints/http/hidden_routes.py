"""Check at the start that Ordergate's routes hide none of an adopter's."""

from collections.abc import Iterable, Iterator, Sequence

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Match
from starlette.types import Scope


class HiddenRoute(Exception):
    """A request never reaches a route of the adopter."""

    def __init__(self, *routes: str) -> None:
        super().__init__(
            f"no request reaches {', '.join(routes)}, because a route of Ordergate has the same"
            " address; include the router with a prefix, or mount it"
        )


def require_reachable_routes(own: Sequence[BaseRoute], others: Iterable[BaseRoute]) -> None:
    """Raise `HiddenRoute` if a route matches every request to a later route."""
    hidden = [*_list_hidden([*iter_route_contexts(own)], iter_route_contexts([*others]))]
    if hidden:
        raise HiddenRoute(*hidden)


def _list_hidden(own: list[RouteContext], others: Iterable[RouteContext]) -> Iterator[str]:
    for route in others:
        for method in sorted(route.methods or ()):
            scope: Scope = {"type": "http", "method": method, "path": route.path, "headers": []}
            if any(each.matches(scope)[0] is Match.FULL for each in own):
                yield f"{method} {route.path}"
