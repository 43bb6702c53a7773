"""Routes that resolve their dependencies at startup instead of on every request."""

from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.datastructures import DefaultPlaceholder
from fastapi.exceptions import ResponseValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ordergate.entrypoints.http.compiled.plan import (
    Guard,
    Plan,
    ReadBody,
    UnsupportedRoute,
    walk_dependants,
)

_PARTS = ("include", "exclude", "exclude_unset", "exclude_defaults", "exclude_none")
"""What makes FastAPI leave members out of an answer."""
_JSON = (b"content-type", b"application/json")


class CompiledRoute(APIRoute):
    """A FastAPI route that resolves its dependencies at startup where they are simple.

    FastAPI examines every dependency for every request, which costs several times as much as
    calling them. A route whose dependencies make a `Plan`, and whose answer is plain JSON, runs
    that plan; FastAPI runs any other. Return values are validated as FastAPI does, except an object
    of exactly the declared type. Endpoints of a plan receive a response stub that supports setting
    headers only.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as APIRoute's
        options["operation_id"] = options.get("operation_id") or options.get("name")
        super().__init__(*arguments, **options)
        self.query_names = query_names(self)
        self._plan: Plan | None = None

    @property
    def is_compiled(self) -> bool:
        """Whether it answers by a plan."""
        return self._plan is not None

    def compile(self, *, readable: bool = True) -> None:
        """Look at the dependencies now; nothing is added to them later.

        `readable` says whether a GET of the route's address has an answer.
        """
        has_body = self.response_field is not None
        as_it_is = self.response_model_by_alias and not any(
            getattr(self, f"response_model_{part}") for part in _PARTS
        )
        if (
            isinstance(self.response_class, DefaultPlaceholder)
            and as_it_is
            and has_body is (self.status_code != HTTPStatus.NO_CONTENT)
        ):
            with suppress(UnsupportedRoute):
                self._plan = Plan(self.dependant, self.body_reader(), self.guard(readable=readable))

    def body_reader(self) -> ReadBody | None:
        """Return what reads bodies; without, a route with a body is FastAPI's to answer."""
        return None

    def guard(self, *, readable: bool) -> Guard | None:  # noqa: ARG002 - for subclasses
        """Return what checks a request just before the route's function runs."""
        return None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that matched, but perhaps not by its method."""
        if self._plan is None or scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request, answer = Request(scope, receive, send), _Answer()
        returned = await self._plan.run(request, answer)
        if isinstance(returned, Response):
            await returned(scope, receive, send)
            return
        field = self.response_field
        if field and type(returned) is not field.field_info.annotation:
            returned, errors = field.validate(returned, loc=("response",))
            if errors:
                raise ResponseValidationError(errors=errors)
        body = field.serialize_json(returned) if field else b""
        headers = [(b"content-length", b"%d" % len(body)), _JSON] if field else [_JSON]
        headers += answer.headers.raw.items()
        status = self.status_code or 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class _Answer:
    """What a function that asks for FastAPI's response may change of it: its headers."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers = _Headers()


class _Headers:
    """Headers by their names, however those are written."""

    __slots__ = ("raw",)

    def __init__(self) -> None:
        self.raw: dict[bytes, bytes] = {}

    def __setitem__(self, name: str, value: str) -> None:
        self.raw[name.lower().encode("latin-1")] = value.encode("latin-1")

    def update(self, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            self[name] = value


def query_names(route: APIRoute) -> frozenset[str]:
    """Return the names of all query parameters that a route or what it depends on reads."""
    return frozenset(
        parameter.alias
        for each in walk_dependants(route.dependant)
        for parameter in each.query_params
    )


def add_routes(app: FastAPI, router: APIRouter) -> None:
    """Add the routes of a router to the application itself, compiled.

    An included router would be searched twice at each request.
    """
    compiled = [route for route in router.routes if isinstance(route, CompiledRoute)]
    readable = {route.path for route in compiled if "GET" in (route.methods or ())}
    for route in compiled:
        route.compile(readable=route.path in readable)
    app.router.routes.extend(router.routes)
