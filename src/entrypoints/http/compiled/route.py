"""Routes that resolve their dependencies at startup instead of on every request."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi.datastructures import DefaultPlaceholder
from fastapi.exceptions import ResponseValidationError
from fastapi.routing import APIRoute, RouteContext
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ordergate.entrypoints.http.compiled.plan import Plan, UnsupportedRoute
from ordergate.entrypoints.http.requests.strict_json import StrictJsonRoute
from ordergate.entrypoints.http.requests.strict_query import (
    StrictQueryRoute,
    require_known_parameters,
)

_PARTS = ("include", "exclude", "exclude_unset", "exclude_defaults", "exclude_none")
"""Parameters of a route that omit members of a response."""
_KINDS = {APIRoute, StrictQueryRoute, StrictJsonRoute}
"""Another subclass of `APIRoute` may handle requests in its own way."""
_JSON = (b"content-type", b"application/json")


class CompiledRoute:
    """A FastAPI route whose dependencies are resolved at startup.

    FastAPI examines every dependency for every request, which costs several times as much as
    calling them. Return values are validated as FastAPI does, except an object of exactly the
    declared type. Endpoints receive a response stub that supports setting headers only.

    Raises `UnsupportedRoute` for a route that only FastAPI answers correctly: its dependencies make
    no `Plan`, or its response is not plain JSON of a declared type.
    """

    def __init__(self, route: RouteContext) -> None:
        self.original = route.original_route
        if type(self.original) not in _KINDS or not _answers_json(route):
            raise UnsupportedRoute
        takes_json = isinstance(self.original, StrictJsonRoute)
        self._has_strict_query = isinstance(self.original, StrictQueryRoute)
        self._plan = Plan(route.dependant, takes_json=takes_json)
        self._status = route.status_code or 200
        self._field = route.response_field
        self.endpoint = route.endpoint
        self.methods = frozenset(route.methods or ())
        self.path = route.path or ""
        self.template = route.path_format
        self.name = route.name
        self.has_parameters = bool(route.param_convertors)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that matched."""
        request, answer = Request(scope, receive, send), _ResponseStub()
        if self._has_strict_query:
            require_known_parameters(request)
        returned = await self._plan.run(request, answer)
        if isinstance(returned, Response):
            await returned(scope, receive, send)
            return
        field = self._field
        if field and type(returned) is not field.field_info.annotation:
            returned, errors = field.validate(returned, loc=("response",))
            if errors:
                raise ResponseValidationError(errors=errors)
        body = field.serialize_json(returned) if field else b""
        headers = [(b"content-length", b"%d" % len(body)), _JSON] if field else [_JSON]
        headers += answer.headers.raw.items()
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _answers_json(route: RouteContext) -> bool:
    """Return whether the response is plain JSON of the declared type.

    A response of 204 is empty instead.
    """
    return (
        isinstance(route.response_class, DefaultPlaceholder)
        and route.response_model_by_alias
        and not any(getattr(route, f"response_model_{part}") for part in _PARTS)
        and (route.response_field is None) is (route.status_code == HTTPStatus.NO_CONTENT)
    )


class _ResponseStub:
    """The response stub of an endpoint, whose headers can be set."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers = _Headers()


class _Headers:
    """Headers by their names in lower case."""

    __slots__ = ("raw",)

    def __init__(self) -> None:
        self.raw: dict[bytes, bytes] = {}

    def __setitem__(self, name: str, value: str) -> None:
        self.raw[name.lower().encode("latin-1")] = value.encode("latin-1")

    def setdefault(self, name: str, value: str) -> None:
        self.raw.setdefault(name.lower().encode("latin-1"), value.encode("latin-1"))

    def update(self, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            self[name] = value
