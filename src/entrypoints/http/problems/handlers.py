"""The handlers that answer errors as problems."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

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
    PROBLEMS,
    invalid_scope,
)
from ordergate.entrypoints.http.problems.problem import (
    Problem,
    ProblemError,
    invalid_parameter,
    problem_for_status,
)

_FIRST_OF_OURS = 500

_MAX_NAME_LENGTH = 64

_MALFORMED = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
"""The statuses of a body that FastAPI cannot read."""

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

_log = logging.getLogger("ordergate.http")


def to_problem(error: Exception) -> Problem:
    """Return the problem of an error; an unexpected one is `INTERNAL`."""
    match error:
        case ApplicationError():
            return _application_problem(error)
        case ProblemError():
            return error.problem
        case RequestValidationError():
            return _invalid_parameters(error)
        case HTTPException():
            return problem_for_status(error.status_code, dict(error.headers or {}), error.detail)
        case DomainError():
            return _broken_rule(error)
    return INTERNAL


def _broken_rule(error: DomainError) -> Problem:
    if isinstance(error, InvalidTransition):
        return Problem(409, str(error), "invalid-transition")
    return Problem(422, str(error), "rule-broken")


def _application_problem(error: ApplicationError) -> Problem:
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


def _invalid_parameters(error: RequestValidationError) -> Problem:
    flaws = []
    for flaw in error.errors()[:MAX_FLAWS]:
        location, *path = flaw["loc"]
        name = ".".join(str(part) for part in path)[:_MAX_NAME_LENGTH]
        flaws.append((str(location), name, _describe_flaw(flaw)))
    return invalid_parameter(*flaws)


def _describe_flaw(flaw: dict[str, Any]) -> str:
    """Describe a mistake; pydantic's own message describes a type that has no words here."""
    words = _WORDS.get(str(flaw.get("type")))
    return str(flaw["msg"]) if words is None else words.format(**flaw.get("ctx", {}))


def _allowed(request: Request) -> str:
    """List all methods of an address; the router lists those of one route."""
    return ", ".join(
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    )


def _is_malformed_request(error: Exception) -> bool:
    """Return whether an error may precede the dependencies of a route."""
    return isinstance(error, RequestValidationError) or (
        isinstance(error, HTTPException) and error.status_code in _MALFORMED
    )


def install_error_handlers(
    app: FastAPI, check_access: Callable[[Request], Awaitable[None]]
) -> None:
    """Answer every expected error as a problem.

    The edge middleware answers unexpected ones. Errors that the caller did not cause are logged
    with their reason, which the answer hides. `check_access` raises errors of authentication, which
    precede mistakes in parameters and bodies.
    """

    async def answer(request: Request, error: Exception) -> Response:
        if _is_malformed_request(error):
            try:
                await check_access(request)
            except (ApplicationError, ProblemError) as refusal:
                error = refusal
        problem, request_id = to_problem(error), request.state.request_id
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
            problem = replace(problem, headers={"Allow": _allowed(request)})
        if problem.status >= _FIRST_OF_OURS:
            _log.error(
                "request_failed",
                extra={
                    "request_id": request_id,
                    "method": request.method,
                    "path": request.url.path,
                    "error": type(error).__name__,
                    "reason": str(error),
                },
            )
        return problem.response(request_id)

    for kind in (
        ApplicationError,
        DomainError,
        ProblemError,
        RequestValidationError,
        HTTPException,
    ):
        app.add_exception_handler(kind, answer)
