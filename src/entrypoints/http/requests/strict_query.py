"""Strict query parameters: unknown and repeated names are errors."""

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from ordergate.entrypoints.http.requests.dependants import walk_dependants
from ordergate.entrypoints.http.requests.fields import read_query_parameters

_MAX_PARAMETERS = 32
_MAX_QUERY_BYTES = 8_192
"""The length that every recipient should support (RFC 9110, section 4.1)."""
_QUERY_TOO_LONG = f"has more than {_MAX_QUERY_BYTES} bytes"
_TOO_MANY_PARAMETERS = f"has more than {_MAX_PARAMETERS} parameters"

_known_names: WeakKeyDictionary[Any, frozenset[str]] = WeakKeyDictionary()
"""The parameters of each endpoint."""


def require_known_parameters(request: Request) -> None:
    """Raise `RequestValidationError` for an unknown or repeated query parameter."""
    if not request.scope["query_string"]:
        return
    query = request.scope["query_string"]
    for refused, reason in (
        (query.count(b"&") >= _MAX_PARAMETERS, _TOO_MANY_PARAMETERS),
        (len(query) > _MAX_QUERY_BYTES, _QUERY_TOO_LONG),
    ):
        if refused:
            raise RequestValidationError([{"loc": ("query", ""), "msg": reason}])
    given = [name for name, _ in read_query_parameters(request)]
    known = _list_parameter_names(request.scope["route"])
    if len(set(given)) == len(given) and known.issuperset(given):
        return
    errors = [
        {"loc": ("query", name), "msg": message}
        for name, times in Counter(given).items()
        for wrong, message in [
            (
                name not in known,
                f"is not a parameter here; known: {', '.join(sorted(known)) or 'none'}",
            ),
            (times > 1, "is repeated; send it once"),
        ]
        if wrong
    ]
    raise RequestValidationError(errors)


def _list_parameter_names(route: APIRoute) -> frozenset[str]:
    """Return the query parameters of a route and its dependencies."""
    names = _known_names.get(route.endpoint)
    if names is None:
        names = _known_names[route.endpoint] = frozenset(
            parameter.alias
            for each in walk_dependants(route.dependant)
            for parameter in each.query_params
        )
    return names


class StrictQueryRoute(APIRoute):
    """For routers: `APIRouter(route_class=StrictQueryRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Handle requests whose query names parameters of this route, each once."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            require_known_parameters(request)
            return await handle(request)

        return handle_strictly
