"""Header fields and query parameters, read one by one."""

from urllib.parse import parse_qsl

from starlette.requests import HTTPConnection

_QUERY = "ordergate.query"


def read_field_values(request: HTTPConnection, name: bytes) -> list[str]:
    """Return the values of a field in their order (RFC 9110, 5.3)."""
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]


def is_encoded(request: HTTPConnection) -> bool:
    """Report whether the body has a content coding such as gzip (RFC 9110, 8.4)."""
    codings = read_field_values(request, b"content-encoding")
    return any(coding.strip().lower() != "identity" for coding in codings)


def read_query_parameters(request: HTTPConnection) -> list[tuple[str, str]]:
    """Return a query's names and values in order, like Starlette."""
    found: list[tuple[str, str]] | None = request.scope.get(_QUERY)
    if found is None:
        query = request.scope["query_string"].decode("latin-1")
        found = request.scope[_QUERY] = parse_qsl(query, keep_blank_values=True)
    return found
