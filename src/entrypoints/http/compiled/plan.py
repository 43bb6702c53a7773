"""The dependencies of a route as a list of steps."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from time import monotonic
from typing import Any, cast

from fastapi._compat import (
    ModelField,
    Undefined,
    field_annotation_is_sequence,
    get_missing_field_error,
    lenient_issubclass,
)
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.params import Body, Param
from fastapi.security import SecurityScopes
from pydantic import BaseModel
from starlette.requests import Request

from ordergate.entrypoints.http.requests.dependants import list_scopes, walk_dependants
from ordergate.entrypoints.http.requests.fields import read_field_values, read_query_parameters
from ordergate.entrypoints.http.requests.strict_json import EMPTY_BODY, read_json

_PLACES = {
    "path_params": "path_params",
    "query_params": "query_params",
    "header_params": "headers",
}
"""FastAPI's field lists of parameters, and the request's attributes with their values."""
_NOT_SIMPLE = ("cookie_params", "background_tasks_param_name", "concurrency")

_SLOW_BODY_SECONDS = 0.1
"""The duration of a body after which the dependencies are called again."""

_MISSING: Any = object()


class UnsupportedRoute(Exception):
    """A route or a dependency that FastAPI has to handle."""


class Plan:
    """The steps of a request, each of which adds a value.

    Supported are coroutine functions with single-valued parameters in the path, the query or the
    headers. A route that `takes_json` may take a model, which is read from strict JSON. The body
    comes last, so nothing of it is read for a refused caller. After a slow body, all dependencies
    are called again, because the caller's session may have ended, or the storage been replaced.
    Raises `UnsupportedRoute` for other dependencies.
    """

    def __init__(self, route: Dependant, *, takes_json: bool) -> None:
        scoped = [each for each in walk_dependants(route) if each.security_scopes_param_name]
        self._fixed = [SecurityScopes(scopes=list_scopes(each)) for each in scoped]
        # Each is one of the three: looking which is faster than asking for a type.
        self._steps: list[tuple[_Call | None, _Param | None, _BodyField | None]] = []
        self._route = route
        self._takes_json = takes_json
        # The first values are the request and the response, then what is fixed.
        self._scopes = {id(each): 2 + place for place, each in enumerate(scoped)}
        self._known: dict[Any, int] = {}
        self._add(route)
        self._last = cast("_Call", self._steps.pop()[0])

    async def run(self, request: Request, response: object) -> object:
        """Run every step and return the result of the route.

        Raises `RequestValidationError` for wrong parameters, and errors of the functions.
        """
        values: list[Any] = [request, response, *self._fixed]
        errors: list[Any] = []
        value: object
        for call, param, body in self._steps:
            if call is not None:
                arguments = call.arguments(values)
                # As in FastAPI, a function that lacks a value is not called, and all mistakes are
                # reported.
                lacks = errors and _MISSING in arguments
                value = _MISSING if lacks else await call.function(*arguments)
            elif param is not None:
                value = param.read(request, errors)
            elif body is not None:
                began = monotonic()
                value = await body.read(request, errors)
                if monotonic() - began > _SLOW_BODY_SECONDS and not errors:
                    await self._call_again(values)
            values.append(value)
        if errors:
            raise RequestValidationError(errors)
        return await self._last.function(*self._last.arguments(values))

    async def _call_again(self, values: list[Any]) -> None:
        """Replace the values of the dependencies so far."""
        first = 2 + len(self._fixed)
        for place, (call, _, _) in enumerate(self._steps[: len(values) - first], first):
            if call is not None:
                values[place] = await call.function(*call.arguments(values))

    def _add(self, dependant: Dependant) -> int:
        """Add a dependency after its own; return the index of its value."""
        function = dependant.call
        if function is None or any(getattr(dependant, part) for part in _NOT_SIMPLE):
            raise UnsupportedRoute
        if not inspect.iscoroutinefunction(function) and not inspect.iscoroutinefunction(
            type(function).__call__  # of an instance; that of a class makes one
        ):
            raise UnsupportedRoute
        key = (function, *list_scopes(dependant))
        if dependant.use_cache and key in self._known:
            return self._known[key]
        places = {each.name: self._add(each) for each in dependant.dependencies}
        for fields, where in _PLACES.items():
            for field in getattr(dependant, fields):
                places[field.name] = self._add_step(param=_Param(field, where))
        if dependant.body_params:
            if dependant is not self._route or not self._takes_json:
                raise UnsupportedRoute
            (field, *more) = dependant.body_params
            body = _BodyField(field, alone=not more)
            places[field.name] = self._add_step(body=body)
        places[dependant.request_param_name] = places[dependant.http_connection_param_name] = 0
        places[dependant.response_param_name] = 1
        places[dependant.security_scopes_param_name] = self._scopes.get(id(dependant), 0)
        self._known[key] = self._add_step(call=_call(function, places))
        return self._known[key]

    def _add_step(
        self,
        *,
        call: "_Call | None" = None,
        param: "_Param | None" = None,
        body: "_BodyField | None" = None,
    ) -> int:
        self._steps.append((call, param, body))
        return 1 + len(self._fixed) + len(self._steps)


class _Param:
    """A single-valued parameter in a header or a request attribute."""

    __slots__ = ("_default", "_field", "_loc", "_name", "_where")

    def __init__(self, field: ModelField, where: str) -> None:
        info = cast("Param", field.field_info)
        if (
            not isinstance(info.validation_alias, str | None)
            or info.validate_default
            or info.default_factory
            or field_annotation_is_sequence(info.annotation)
            or lenient_issubclass(info.annotation, BaseModel)
        ):
            raise UnsupportedRoute
        self._where = where
        self._field = field
        self._loc = (info.in_.value, field.validation_alias or field.alias)
        self._name = self._loc[1].lower().encode() if where == "headers" else b""
        self._default = field.get_default()

    def read(self, request: Request, errors: list[Any]) -> object:
        """Return the value, or add its mistake."""
        value: Any
        if self._where == "headers":
            value = next(iter(read_field_values(request, self._name)), None)
        elif self._where == "query_params":
            value = dict(read_query_parameters(request)).get(self._loc[1])
        else:
            value = request.path_params.get(self._loc[1])
        if value is None:
            if self._default is not Undefined:
                return self._default
            errors.append(get_missing_field_error(self._loc))
            return _MISSING
        value, wrong = self._field.validate(value, loc=self._loc)
        if wrong:
            errors.extend(wrong)
            return _MISSING
        return value


class _BodyField:
    """The model of a body."""

    __slots__ = ("_field",)

    def __init__(self, field: ModelField, *, alone: bool) -> None:
        info = field.field_info
        if (
            not alone
            or type(info) is not Body
            or info.embed
            or not info.is_required()
            or not lenient_issubclass(info.annotation, BaseModel)
        ):
            raise UnsupportedRoute
        self._field = field

    async def read(self, request: Request, errors: list[Any]) -> object:
        """Return the model, or add its mistakes."""
        body = await read_json(request)
        if body is EMPTY_BODY:
            errors.append(get_missing_field_error(("body",)))
            return _MISSING
        value, wrong = self._field.validate(body, loc=("body",))
        errors.extend(wrong)
        return _MISSING if wrong else value


@dataclass(frozen=True, slots=True)
class _Call:
    """A coroutine function, and the indexes of its arguments."""

    function: Callable[..., Any]
    arguments: Callable[[list[Any]], tuple[Any, ...]]


def _call(function: Callable[..., Any], places: Mapping[str | None, int]) -> _Call:
    """Arrange the arguments in the order of the parameters."""
    parameters = inspect.signature(function).parameters.values()
    named = [each for each in parameters if each.name in places]
    arguments = _make_argument_getter([places[each.name] for each in named])
    if not any(each.kind is each.KEYWORD_ONLY for each in named):
        return _Call(function, arguments)
    names = [each.name for each in named]

    def by_name(*values: object) -> object:
        return function(**dict(zip(names, values, strict=True)))

    return _Call(by_name, arguments)


def _make_argument_getter(places: list[int]) -> Callable[[list[Any]], tuple[Any, ...]]:
    match places:
        case []:
            return lambda _: ()
        case [place]:
            return lambda values: (values[place],)
    return itemgetter(*places)
