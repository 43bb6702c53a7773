"""The problem of each exception."""

import errno
from dataclasses import replace
from typing import Any

from fastapi import HTTPException
from fastapi.exceptions import (
    RequestValidationError,
    ValidationException,
    WebSocketRequestValidationError,
)
from starlette.exceptions import HTTPException as StarletteHTTPException

from ordergate.application.errors import (
    ApplicationError,
    InvalidScope,
    Overloaded,
    Throttled,
)
from ordergate.domain.errors import DomainError, InvalidTransition
from ordergate.entrypoints.http.problems.catalog import (
    INTERNAL,
    MAX_FLAWS,
    NO_DESCRIPTORS,
    PROBLEMS,
    invalid_scope,
)
from ordergate.entrypoints.http.problems.problem import (
    Problem,
    ProblemError,
    get_reason_phrase,
    invalid_parameter,
    problem_for_status,
)

_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE}
_MAX_NAME_LENGTH = 64


def to_problem(error: Exception) -> Problem:
    """Return the problem of an error; an unexpected one is `INTERNAL`."""
    match error:
        case ApplicationError():
            return _map_application_error(error)
        case ProblemError():
            return error.problem
        case RequestValidationError() | WebSocketRequestValidationError():
            return _map_invalid_parameters(error)
        case StarletteHTTPException():
            return _describe_status(error)
        case DomainError():
            return _map_broken_rule(error)
    return NO_DESCRIPTORS if _lacks_descriptors(error) else INTERNAL


def _describe_status(error: StarletteHTTPException) -> Problem:
    """Return the problem of a status from FastAPI's exception."""
    status, headers = error.status_code, dict(error.headers or {})
    if not isinstance(error, HTTPException):
        return problem_for_status(status, headers, error.detail)
    phrase = get_reason_phrase(status)
    is_default = error.detail in {StarletteHTTPException(status).detail, phrase}
    return Problem(status, f"{phrase}." if is_default else error.detail, headers=headers)


def _lacks_descriptors(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
            return True
        error = error.__cause__ or error.__context__
    return False


def _map_broken_rule(error: DomainError) -> Problem:
    if isinstance(error, InvalidTransition):
        return Problem(409, str(error), "invalid-transition")
    return Problem(422, str(error), "rule-broken")


def _map_application_error(error: ApplicationError) -> Problem:
    problem = PROBLEMS[type(error)]
    if isinstance(error, InvalidScope):
        return invalid_scope(error.available)
    if isinstance(error, Overloaded | Throttled):
        return replace(problem, headers={**problem.headers, "Retry-After": str(error.retry_after)})
    return problem


_WORDS = {
    "bool_type": "must be true or false",
    "extra_forbidden": "is unknown here; leave it out",
    "float_type": "must be a number",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "missing": "is missing",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_too_long": "must have {max_length} or fewer characters",
    "string_too_short": "must have {min_length} or more characters",
    "string_type": "must be text",
    "string_unicode": "must be text that UTF-8 can write",
    "too_long": "must have {max_length} or fewer items",
    "too_short": "must have {min_length} or more items",
}
"""Pydantic's messages in the words of JSON instead of Python, by their types."""

_BY_A_VALIDATOR = frozenset({"assertion_error", "value_error"})
"""Errors that a function raised, whose text pydantic prefixes with `Value error,`."""

_NO_FILE = "Expected UploadFile"
"""What FastAPI's message begins with if a part of a form is text."""


def _map_invalid_parameters(error: ValidationException) -> Problem:
    flaws = []
    for flaw in error.errors()[:MAX_FLAWS]:
        location, *path = flaw["loc"]
        name = ".".join(str(part) for part in path)[:_MAX_NAME_LENGTH]
        flaws.append((str(location), name, _describe_flaw(flaw)))
    return invalid_parameter(*flaws)


def _describe_flaw(flaw: dict[str, Any]) -> str:
    """Describe a mistake; use pydantic's message for other types."""
    context = flaw.get("ctx", {})
    if flaw.get("type") in _BY_A_VALIDATOR:
        text = str(context.get("error", flaw["msg"]))
        return "must be a file of a multipart form" if text.startswith(_NO_FILE) else text
    words = _WORDS.get(str(flaw.get("type")))
    return str(flaw["msg"]) if words is None else words.format(**context)
