"""Strict JSON bodies: ambiguous JSON is refused."""

import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from ordergate.entrypoints.http.problems.catalog import MISSING_TOKEN
from ordergate.entrypoints.http.problems.problem import Problem, ProblemError, problem_for_status
from ordergate.entrypoints.http.requests.conditional import CONDITION_HEADERS
from ordergate.entrypoints.http.requests.dependants import walk_dependants
from ordergate.entrypoints.http.requests.fields import is_encoded, read_field_values
from ordergate.entrypoints.http.requests.strict_query import (
    StrictQueryRoute,
    require_known_parameters,
)
from ordergate.entrypoints.http.requests.untagged import with_untagged_preconditions

_JSON = "application/json"
_MAX_MEMBERS = 32
"""The maximum of an object: no schema has as many, and each unknown one costs time."""
_MAX_VALUES = 2_000
"""The maximum of objects and fractions in a body, each of which Python code handles."""
_LEAST_CHARACTERS = 3
"""The shortest object or fraction with its separator, as in `{},`."""
_MAX_EXPONENT = 18
"""The maximum for an integer below 2^63; a million digits would take minutes."""
NOT_JSON = problem_for_status(415, detail=f"Send the body as {_JSON}.")
MALFORMED_JSON = Problem(
    400, "The JSON body is broken at line 1, column 1: Expecting value.", "malformed-json"
)
ENCODED_JSON = problem_for_status(
    415, {"Accept-Encoding": "identity"}, "Send the body without Content-Encoding."
)
BODY_PROBLEMS = (NOT_JSON, ENCODED_JSON, MALFORMED_JSON)
"""The problems that a route with a JSON body documents."""
EMPTY_BODY = object()


class StrictBody(BaseModel):
    """A JSON body without unknown members and without conversions."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _make_malformed_error(detail: str) -> ProblemError:
    return ProblemError(replace(MALFORMED_JSON, detail=detail))


async def read_json(request: Request) -> object:
    """Read a body; return `EMPTY_BODY` for an empty one.

    Raises a problem 415 for another media type or a content coding, and 400 for malformed JSON.
    """
    _require_json(request)
    body = await request.body()
    if not body:
        return EMPTY_BODY
    try:
        text = body.decode()  # RFC 8259, section 8.1: UTF-8 and nothing else
    except UnicodeDecodeError:
        raise _make_malformed_error("The JSON body is not UTF-8.") from None
    if text.startswith("\ufeff"):
        raise _make_malformed_error("The JSON body begins with a byte order mark; send it without.")
    try:
        return _decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _make_malformed_error(f"The JSON body is broken at {where}: {error.msg}.") from None
    except RecursionError:
        raise _make_malformed_error("The JSON body is nested too deeply.") from None
    except ValueError:  # a number of more digits than Python reads
        raise _make_malformed_error("A number of the JSON body is too long.") from None


class StrictJsonRoute(StrictQueryRoute):
    """For routers whose routes take JSON: `APIRouter(route_class=StrictJsonRoute)`.

    It refuses another media type and content codings with 415. It refuses with 400 a body that is
    not UTF-8, repeated members (RFC 8259, section 4, does not define their meaning), and numbers
    outside JSON, such as NaN. A protected route reads no body of a request without a token. A route
    that does not document `CONDITION_HEADERS` evaluates preconditions as for a resource without an
    entity tag.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401 - as APIRoute's
        if options.get("openapi_extra") is not CONDITION_HEADERS:
            endpoint = with_untagged_preconditions(endpoint)
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Handle requests whose `json` is strict."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        required = {
            each.call
            for each in walk_dependants(self.dependant)
            if _requires_credentials(each.call)
        }

        async def handle_strictly(request: Request) -> Response:
            require_known_parameters(request)
            is_protected = not required.issubset(request.app.dependency_overrides)
            if is_protected and "authorization" not in request.headers:
                raise ProblemError(MISSING_TOKEN)
            strict = _StrictRequest(request.scope, request.receive)
            try:
                return await handle(strict)
            except RequestValidationError:
                strict.require_json()
                raise

        return handle_strictly


def _requires_credentials(dependency: object) -> bool:
    """Return whether a security scheme refuses requests without credentials."""
    return isinstance(dependency, SecurityBase) and getattr(dependency, "auto_error", True)


class _StrictRequest(Request):
    """A request whose malformed body fails after the dependencies have run.

    FastAPI reads the body first. A caller without access must not learn how it was read.
    """

    _error: Exception | None = None

    async def json(self) -> object:
        try:
            return await read_json(self)
        except ProblemError as error:
            self._error = error
            return _MALFORMED

    def require_json(self) -> None:
        """Raise the error of the body, if any."""
        _require_json(self)
        if self._error is not None:
            raise self._error


_MALFORMED = object()
"""A value that no model accepts, so FastAPI does not run the route."""


def _require_json(request: Request) -> None:
    media_type = next(iter(read_field_values(request, b"content-type")), "")
    if media_type.partition(";")[0].strip().lower() != _JSON:
        raise ProblemError(NOT_JSON)
    if is_encoded(request):
        raise ProblemError(ENCODED_JSON)


def _decode(text: str) -> object:
    if len(text) <= _MAX_VALUES * _LEAST_CHARACTERS:  # it cannot have more
        return _DECODER.decode(text)
    left = iter(range(_MAX_VALUES))

    def count() -> None:
        if next(left, None) is None:
            raise _make_malformed_error(
                f"The JSON body has more than {_MAX_VALUES} objects and fractions."
            )

    return _make_decoder(count).decode(text)


def _make_decoder(count: Callable[[], None]) -> json.JSONDecoder:
    """Return a decoder that calls `count` for each object and fraction."""

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        count()
        return _refuse_repeated(pairs)

    def number(digits: str) -> int | float:
        count()
        return _read_number(digits)

    return json.JSONDecoder(
        object_pairs_hook=members, parse_constant=_refuse_constant, parse_float=number
    )


def _refuse_repeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(pairs) > _MAX_MEMBERS:
        raise _make_malformed_error(
            f"An object of the JSON body must have at most {_MAX_MEMBERS} members."
        )
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _make_malformed_error("A member of the JSON body is repeated; send each once.")
    return members


def _refuse_constant(_name: str) -> None:
    raise _make_malformed_error("NaN and Infinity are not valid JSON.")


def _read_number(text: str) -> int | float:
    """Read `1.0` and `1e2` exactly as integers, which JSON Schema requires.

    A fraction, or a number beyond every accepted integer, stays a float.
    """
    with suppress(InvalidOperation):  # an exponent of twenty digits
        number = Decimal(text)
        if number.adjusted() <= _MAX_EXPONENT and number == number.to_integral_value():
            return int(number)
    return float(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_refuse_repeated, parse_constant=_refuse_constant, parse_float=_read_number
)
