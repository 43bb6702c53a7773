"""Header fields and query parameters, without making an object of all of them."""

from urllib.parse import parse_qsl

from starlette.requests import HTTPConnection

_QUERY = "ordergate.query"


def field_values(request: HTTPConnection, name: bytes) -> list[str]:
    """Return the values of each field of a name in lower case, in their order (RFC 9110, 5.3)."""
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]


def query_parameters(request: HTTPConnection) -> list[tuple[str, str]]:
    """Return the names and values in a query, in their order, as Starlette reads them."""
    found: list[tuple[str, str]] | None = request.scope.get(_QUERY)
    if found is None:
        query = request.scope["query_string"].decode("latin-1")
        found = request.scope[_QUERY] = parse_qsl(query, keep_blank_values=True)
    return found
