"""The handlers that answer errors as problems."""

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.utils import is_body_allowed_for_status_code
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from ordergate.application.errors import ApplicationError
from ordergate.domain.errors import DomainError
from ordergate.entrypoints.http.problems.catalog import SHUTTING_DOWN
from ordergate.entrypoints.http.problems.challenges import add_metadata
from ordergate.entrypoints.http.problems.mapping import to_problem
from ordergate.entrypoints.http.problems.problem import FIRST_OF_OURS, Problem, ProblemError
from ordergate.entrypoints.http.problems.sockets import refuse_socket
from ordergate.entrypoints.http.requests.methods import list_allowed

_FIRST_ERROR = 400

_MALFORMED = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
"""The statuses of a body that FastAPI cannot read."""

_OWN_ERRORS = (ApplicationError, DomainError, ProblemError)
"""Errors that no other code raises."""

_FRAMEWORK_ERRORS = (
    RequestValidationError,
    StarletteHTTPException,
    WebSocketRequestValidationError,
)

_Connection = Request | WebSocket
_Handler = Callable[..., Any]

_log = logging.getLogger("ordergate.http")


@dataclass(frozen=True, slots=True)
class ErrorHandlers:
    """Answers errors as problems. The adopter may register other handlers.

    An `HTTPException` whose detail is no text stays as FastAPI writes it, and so does one without
    an error's status. Expected errors that the caller did not cause are logged with their reason,
    which the answer hides, except for a drain; the edge middleware logs the unexpected ones.
    `check_access` raises errors of authentication, which precede mistakes in parameters and bodies.
    Their challenge names the metadata of `resource`. A WebSocket is refused, or closed.
    """

    check_access: Callable[[Request], Awaitable[None]]
    resource: str | None

    def install(self, app: FastAPI) -> None:
        """Handle all errors of an application."""
        handler: Any = self.answer  # Starlette's types know no handler of both kinds
        for kind in (*_OWN_ERRORS, *_FRAMEWORK_ERRORS):
            app.exception_handlers[kind] = handler
        app.exception_handlers[Exception] = self.answer_unexpected

    def install_mounted(self, app: Starlette) -> None:
        """Handle Ordergate's errors in a mounted application.

        It keeps its own handlers.
        """
        handler: Any = self.answer
        for kind in _OWN_ERRORS:
            app.exception_handlers.setdefault(kind, handler)
        for precedes in (RequestValidationError, StarletteHTTPException):
            if theirs := app.exception_handlers.get(precedes):
                app.exception_handlers[precedes] = self._check_first(theirs)

    def _check_first(self, handler: _Handler) -> _Handler:
        """Return a handler that raises the errors of authentication first."""

        async def answer(connection: _Connection, error: Exception) -> object:
            if isinstance(connection, Request) and _is_malformed_request(error):
                await self.check_access(connection)
            if inspect.iscoroutinefunction(handler):
                return await handler(connection, error)
            return await run_in_threadpool(handler, connection, error)

        return answer

    async def answer_unexpected(self, request: Request, error: Exception) -> Response:
        """Answer an exception that has no other handler."""
        return to_problem(error).answer(request.scope)

    async def answer(self, connection: _Connection, error: Exception) -> Response | None:
        """Answer an expected error."""
        if isinstance(connection, WebSocket):
            await refuse_socket(connection, self._make_answer(connection, error))
            return None
        if _is_malformed_request(error):
            try:
                await self.check_access(connection)
            except (ApplicationError, ProblemError) as refusal:
                error = refusal
        return self._make_answer(connection, error)

    def _make_answer(self, connection: _Connection, error: Exception) -> Response:
        if isinstance(error, StarletteHTTPException) and not _may_be_problem(error):
            return _write_as_fastapi(error)
        problem = to_problem(error)
        if type(error) is StarletteHTTPException and isinstance(connection, Request):
            problem = _add_methods(problem, connection)
        if isinstance(error, ApplicationError | ProblemError):
            problem = add_metadata(problem, self.resource)
        if problem.status >= FIRST_OF_OURS and problem.name != SHUTTING_DOWN.name:
            cause = error.__cause__ if isinstance(error, ProblemError) else None
            _log.error(
                "request_failed",
                extra={
                    "request_id": connection.state.request_id,
                    "method": connection.scope.get("method", "WebSocket"),
                    "path": connection.url.path,
                    "error": type(cause or error).__name__,
                    "reason": str(cause or error),
                },
            )
        return problem.answer(connection.scope)


def _add_methods(problem: Problem, request: Request) -> Problem:
    if problem.status != HTTPStatus.METHOD_NOT_ALLOWED:
        return problem
    allowed = list_allowed(request, problem.headers.get("Allow"))
    return replace(problem, headers={"Allow": allowed} if allowed else {})


def _is_malformed_request(error: Exception) -> bool:
    """Return whether an error may precede the dependencies of a route."""
    return isinstance(error, RequestValidationError) or (
        isinstance(error, StarletteHTTPException) and error.status_code in _MALFORMED
    )


def _write_as_fastapi(error: StarletteHTTPException) -> Response:
    if is_body_allowed_for_status_code(error.status_code):
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
    return Response(status_code=error.status_code, headers=error.headers)


def _may_be_problem(error: StarletteHTTPException) -> bool:
    return error.status_code >= _FIRST_ERROR and isinstance(error.detail, str)
