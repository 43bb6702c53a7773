"""Header fields, without making an object of all of them."""

from starlette.requests import HTTPConnection


def field_values(request: HTTPConnection, name: bytes) -> list[str]:
    """Return the values of each field of a name in lower case, in their order (RFC 9110, 5.3)."""
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]
