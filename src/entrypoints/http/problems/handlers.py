"""The handlers that answer errors as problems."""

import errno
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response

from ordergate.application.errors import (
    ApplicationError,
    InvalidScope,
    Overloaded,
    Throttled,
)
from ordergate.domain.errors import DomainError, InvalidTransition
from ordergate.entrypoints.http.problems.catalog import (
    CHALLENGE,
    INTERNAL,
    MAX_FLAWS,
    NO_DESCRIPTORS,
    PROBLEMS,
    invalid_scope,
)
from ordergate.entrypoints.http.problems.problem import (
    Problem,
    ProblemError,
    invalid_parameter,
    problem_for_status,
    reason_phrase,
)
from ordergate.entrypoints.http.requests.methods import list_allowed

_FIRST_ERROR = 400
_NOT_ALLOWED = HTTPStatus.METHOD_NOT_ALLOWED
_FIRST_OF_OURS = 500
_CHALLENGE_HEADER = "WWW-Authenticate"

_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE}

_MAX_NAME_LENGTH = 64

_MALFORMED = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
"""The statuses of a body that FastAPI cannot read."""

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
        case StarletteHTTPException():
            return _describe_status(error)
        case DomainError():
            return _broken_rule(error)
    return NO_DESCRIPTORS if _lacks_descriptors(error) else INTERNAL


def _describe_status(error: StarletteHTTPException) -> Problem:
    """Return the problem of a status, which a route has raised as FastAPI's exception."""
    status, headers = error.status_code, dict(error.headers or {})
    if not isinstance(error, HTTPException):
        return problem_for_status(status, headers, error.detail)
    phrase = reason_phrase(status)
    is_default = error.detail in {StarletteHTTPException(status).detail, phrase}
    return Problem(status, f"{phrase}." if is_default else error.detail, headers=headers)


def _lacks_descriptors(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
            return True
        error = error.__cause__ or error.__context__
    return False


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


def _with_metadata(problem: Problem, url: str) -> Problem:
    """Add the address of the metadata to our challenge (RFC 9728, section 5.1)."""
    challenge = problem.headers.get(_CHALLENGE_HEADER, "")
    if not challenge.startswith(CHALLENGE):
        return problem
    challenge = f'{challenge}, resource_metadata="{url}"'
    return replace(problem, headers={**problem.headers, _CHALLENGE_HEADER: challenge})


def _is_malformed_request(error: Exception) -> bool:
    """Return whether an error may precede the dependencies of a route."""
    return isinstance(error, RequestValidationError) or (
        isinstance(error, StarletteHTTPException) and error.status_code in _MALFORMED
    )


def install_error_handlers(
    app: FastAPI,
    check_access: Callable[[Request], Awaitable[None]],
    metadata_url: str | None,
) -> None:
    """Answer errors as problems. The adopter may register other handlers.

    An `HTTPException` whose detail is no text stays as FastAPI writes it, and so does one without
    an error's status. Expected errors that the caller did not cause are logged with their reason,
    which the answer hides; the edge middleware logs the unexpected ones. `check_access` raises
    errors of authentication, which precede mistakes in parameters and bodies. Their challenge names
    `metadata_url`.
    """

    async def answer_unexpected(request: Request, error: Exception) -> Response:
        return to_problem(error).response(request.state.request_id)

    async def answer(request: Request, error: Exception) -> Response:
        if _is_malformed_request(error):
            try:
                await check_access(request)
            except (ApplicationError, ProblemError) as refusal:
                error = refusal
        if isinstance(error, StarletteHTTPException) and not _may_be_problem(error):
            return await http_exception_handler(request, error)
        problem, request_id = to_problem(error), request.state.request_id
        if type(error) is StarletteHTTPException and problem.status == _NOT_ALLOWED:
            allowed = list_allowed(request, problem.headers.get("Allow"))
            problem = replace(problem, headers={"Allow": allowed} if allowed else {})
        if metadata_url and isinstance(error, ApplicationError | ProblemError):
            problem = _with_metadata(problem, metadata_url)
        if problem.status >= _FIRST_OF_OURS:
            cause = error.__cause__ if isinstance(error, ProblemError) else None
            _log.error(
                "request_failed",
                extra={
                    "request_id": request_id,
                    "method": request.method,
                    "path": request.url.path,
                    "error": type(cause or error).__name__,
                    "reason": str(cause or error),
                },
            )
        return problem.response(request_id)

    for kind in (
        ApplicationError,
        DomainError,
        ProblemError,
        RequestValidationError,
        StarletteHTTPException,
    ):
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(Exception, answer_unexpected)


def _may_be_problem(error: StarletteHTTPException) -> bool:
    return error.status_code >= _FIRST_ERROR and isinstance(error.detail, str)
