"""Routes whose dependencies are looked at once, when they are made, and not at each request."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from fastapi import APIRouter, FastAPI
from fastapi._compat import (
    ModelField,
    Undefined,
    field_annotation_is_sequence,
    get_missing_field_error,
    lenient_issubclass,
)
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.params import Param
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from pydantic import BaseModel
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_JSON = (b"content-type", b"application/json")
_NOT_SIMPLE = ("body_params", "cookie_params", "background_tasks_param_name", "concurrency")

_LACKING: Any = object()


class _NotSimpleError(Exception):
    """A route or a dependency is of a kind that is left to FastAPI."""


@dataclass(slots=True)
class _Call:
    """A coroutine function, and where its arguments come from.

    `results` are those of calls before it, by their number; `params` the fields of FastAPI's by the
    attribute of the request that has their values.
    """

    function: Callable[..., Any]
    results: list[tuple[str, int]]
    fixed: Mapping[str, Any]
    request: str | None
    response: str | None
    params: list[tuple[list["_Param"], str]]


class _Param:
    """A parameter of one value."""

    __slots__ = ("_default", "_field", "_loc", "name")

    def __init__(self, field: ModelField) -> None:
        info = cast("Param", field.field_info)
        if (
            not isinstance(info.validation_alias, str | None)
            or info.validate_default
            or field_annotation_is_sequence(info.annotation)
            or lenient_issubclass(info.annotation, BaseModel)
        ):
            raise _NotSimpleError
        self.name = field.name
        self._field = field
        self._loc = (info.in_.value, field.validation_alias or field.alias)
        self._default = field.get_default()

    def read(self, given: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        """Return its value and what is wrong with it."""
        value = given.get(self._loc[1])
        if value is not None:
            validated: tuple[Any, list[Any]] = self._field.validate(value, loc=self._loc)
            return validated
        if self._default is Undefined:
            return None, [get_missing_field_error(self._loc)]
        return self._default, []


class _Answer:
    """What a function that asks for FastAPI's response may change of it: its headers."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers = MutableHeaders(raw=[])


class CompiledRoute(APIRoute):
    """A route as FastAPI makes it, answered in fewer steps where its parts are simple.

    FastAPI asks of every dependency of every request what kind it is, which costs several times as
    much as all they do. Here the tree is a list of calls. Simple are coroutine functions whose
    parameters are in the path, the query and the headers, and that return a model or a response; a
    route with any other part, such as a body, is FastAPI's to answer.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as APIRoute's
        options["operation_id"] = options.get("operation_id") or options.get("name")
        super().__init__(*arguments, **options)
        self.query_names = query_names(self)
        self._calls: list[_Call] = []

    def compile(self) -> None:
        """Look at the dependencies now; nothing is added to them later."""
        calls: list[_Call] = []
        with suppress(_NotSimpleError):
            _compile(self.dependant, calls, {})
            has_body = self.response_field is not None
            if isinstance(self.response_class, DefaultPlaceholder) and has_body is (
                self.status_code != HTTPStatus.NO_CONTENT
            ):
                self._calls = calls

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that matched."""
        if not self._calls or scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request, answer = Request(scope, receive, send), _Answer()
        returned = await self._call(request, answer)
        if isinstance(returned, Response):
            await returned(scope, receive, send)
            return
        field, headers = self.response_field, [_JSON, *answer.headers.raw]
        body = field.serialize_json(returned) if field else b""
        if field:
            headers.insert(0, (b"content-length", str(len(body)).encode()))
        status = self.status_code or HTTPStatus.OK
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _call(self, request: Request, answer: _Answer) -> object:
        results: list[Any] = []
        errors: list[Any] = []
        for call in self._calls:
            values = dict(call.fixed)
            for name, number in call.results:
                values[name] = results[number]
            if call.request:
                values[call.request] = request
            if call.response:
                values[call.response] = answer
            flaws = []
            for params, where in call.params:
                given = getattr(request, where)
                for param in params:
                    values[param.name], wrong = param.read(given)
                    flaws += wrong
            errors += flaws
            # As FastAPI does: what lacks a value is not called, and all flaws are told together.
            lacking = errors and (call is self._calls[-1] or flaws or _LACKING in values.values())
            results.append(_LACKING if lacking else await call.function(**values))
        if errors:
            raise RequestValidationError(errors)
        return results[-1]


def _compile(dependant: Dependant, calls: list[_Call], known: dict[Any, int]) -> int:
    """Add what a dependency needs, then itself, and return its number."""
    function = dependant.call
    if function is None or any(getattr(dependant, part) for part in _NOT_SIMPLE):
        raise _NotSimpleError
    if not inspect.iscoroutinefunction(function) and not inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - that of an instance
    ):
        raise _NotSimpleError
    scopes = [*(dependant.parent_oauth_scopes or []), *(dependant.own_oauth_scopes or [])]
    key = (function, *scopes)
    if dependant.use_cache and key in known:
        return known[key]
    results = [(each.name, _compile(each, calls, known)) for each in dependant.dependencies]
    named = dependant.security_scopes_param_name
    places = ("path_params", "query_params", "header_params")
    calls.append(
        _Call(
            function,
            [(name, number) for name, number in results if name is not None],
            {named: SecurityScopes(scopes=scopes)} if named else {},
            dependant.request_param_name or dependant.http_connection_param_name,
            dependant.response_param_name,
            [
                ([_Param(field) for field in fields], place.replace("header_params", "headers"))
                for place in places
                if (fields := getattr(dependant, place))
            ],
        )
    )
    known[key] = len(calls) - 1
    return known[key]


def query_names(route: APIRoute) -> frozenset[str]:
    """Return the names of all query parameters that a route or what it depends on reads."""

    def names(dependant: Dependant) -> Iterator[str]:
        yield from (parameter.alias for parameter in dependant.query_params)
        for inner in dependant.dependencies:
            yield from names(inner)

    return frozenset(names(route.dependant))


def add_routes(app: FastAPI, router: APIRouter) -> None:
    """Add the routes of a router to the application itself, compiled.

    An included router would be searched twice at each request.
    """
    for route in router.routes:
        if isinstance(route, CompiledRoute):
            route.compile()
        app.router.routes.append(route)
