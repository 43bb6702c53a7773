"""Every error's answer: one table from type to problem, and the handlers that use it."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from ordergate.application.errors import (
    AccountHasOpenOrders,
    AmbiguousOrderId,
    ApplicationError,
    BackupRefused,
    CopyDiffers,
    CopyUnfinished,
    IdempotencyKeyReused,
    InvalidCredentials,
    InvalidGrant,
    InvalidScope,
    InvalidToken,
    IssuerKeysUnavailable,
    OrderChanged,
    OrderIdTaken,
    OrderNotFound,
    OutcomeUnknown,
    Overloaded,
    RecordRefused,
    RecordUnreadable,
    SchemaNotCurrent,
    SessionNotFound,
    SigningKeyError,
    StorageNotEmpty,
    StorageUnavailable,
    Throttled,
    TooManyRequests,
    UnstorableValue,
    UnsupportedTokenType,
    UsernameTaken,
    WrongPassword,
)
from ordergate.domain.errors import DomainError, InvalidTransition
from ordergate.domain.scope import Scope
from ordergate.entrypoints.http.problems.problem import Problem, ProblemError, reason_phrase

_FIRST_OF_OURS = 500
MAX_FLAWS = 8
"""How many wrong parameters an answer names."""

_MAX_NAME_LENGTH = 64
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

_log = logging.getLogger("ordergate.http")


def oauth_problem(
    status: int,
    error: str,
    detail: str,
    *,
    name: str | None = None,
    headers: dict[str, str] | None = None,
) -> Problem:
    """Make a problem that OAuth2 clients understand too (RFC 6749, section 5.2)."""
    return Problem(
        status,
        detail,
        name or error.replace("_", "-"),
        {"error": error, "error_description": detail},
        {"Pragma": "no-cache", **(headers or {})},
    )


MAX_HEAD_BYTES = 65_536
"""The largest request line and headers together, to one read from the socket."""

MAX_HEAD_FIELDS = 100
"""The most header fields of a request."""

MALFORMED = Problem(400, "This is not a well-formed HTTP/1.1 request.", "malformed-request")
HEAD_TOO_LARGE = Problem(
    431, f"The request line and headers exceed {MAX_HEAD_BYTES} bytes.", "headers-too-large"
)
TOO_MANY_FIELDS = Problem(
    431, f"The request has more than {MAX_HEAD_FIELDS} header fields.", "headers-too-large"
)

INTERNAL = Problem(500, "Something went wrong on our side; the request id helps us find it.")

SHUTTING_DOWN = Problem(
    503,
    "The service is restarting; try again soon.",
    "shutting-down",
    headers={"Retry-After": "1"},
)

NO_DESCRIPTORS = Problem(
    503,
    "The service has too many files and connections open; try again soon.",
    "overloaded",
    headers={"Retry-After": "1"},
)

MISSING_TOKEN = Problem(
    401,
    "Send an access token as Authorization: Bearer; /docs says where tokens come from.",
    "token-required",
    headers={"WWW-Authenticate": "Bearer"},
)

REPEATED_AUTHORIZATION = oauth_problem(
    400,
    "invalid_request",
    "The header Authorization is repeated; send it once.",
    headers={"WWW-Authenticate": 'Bearer error="invalid_request"'},
)


def insufficient_scope(scopes: Sequence[str]) -> Problem:
    """Make the problem of a token that lacks the scope of a route (RFC 6750, 3.1)."""
    needed = " ".join(scopes)
    return Problem(
        403,
        f"The access token lacks the scope {needed}; sign in for that scope.",
        "insufficient-scope",
        {"error": "insufficient_scope", "scope": needed},
        {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'},
    )


PROBLEMS: dict[type[ApplicationError], Problem] = {
    InvalidCredentials: oauth_problem(400, "invalid_grant", "Incorrect username or password"),
    InvalidToken: Problem(
        401,
        "The access token is expired or not valid here; sign in again.",
        "invalid-token",
        {"error": "invalid_token"},
        {"WWW-Authenticate": 'Bearer error="invalid_token"'},
    ),
    IssuerKeysUnavailable: Problem(
        503,
        "The issuer of tokens does not answer; try again soon.",
        "issuer-unavailable",
        headers={"Retry-After": "1"},
    ),
    SigningKeyError: Problem(409, "The signing keys cannot be changed in this way.", "key-refused"),
    Throttled: oauth_problem(
        429,
        "invalid_grant",
        "Too many attempts; try again later.",
        name="too-many-attempts",
        headers={"Retry-After": "1"},
    ),
    InvalidGrant: oauth_problem(
        400,
        "invalid_grant",
        "This refresh token is expired, used, revoked or not yours; sign in again.",
    ),
    InvalidScope: oauth_problem(
        400,
        "invalid_scope",
        f"A scope is unknown or was not granted; available: {' '.join(Scope)}.",
    ),
    UnsupportedTokenType: oauth_problem(
        400,
        "unsupported_token_type",
        "Access tokens cannot be revoked here; revoke the refresh token.",
    ),
    WrongPassword: Problem(403, "The current password is incorrect.", "wrong-password"),
    SessionNotFound: Problem(404, "You have no session with this id.", "session-not-found"),
    AccountHasOpenOrders: Problem(
        409,
        "Some of your orders are under way; close the account when they are delivered or"
        " cancelled.",
        "orders-open",
    ),
    OrderNotFound: Problem(404, "You have no order with this id.", "order-not-found"),
    OrderChanged: Problem(
        412, "The order has changed; read it again, then decide.", "order-changed"
    ),
    OrderIdTaken: Problem(
        503,
        "No free id was found for the order; try again.",
        "order-id-taken",
        headers={"Retry-After": "1"},
    ),
    AmbiguousOrderId: Problem(409, "Several users have an order with this id.", "owner-not-named"),
    IdempotencyKeyReused: Problem(
        422,
        "This Idempotency-Key stands for another order; draw a new key for each order.",
        "idempotency-key-reused",
    ),
    UsernameTaken: Problem(409, "This user name is taken.", "username-taken"),
    RecordUnreadable: Problem(
        500,
        "The stored record cannot be read; the request id helps us find it.",
        "record-unreadable",
    ),
    RecordRefused: Problem(409, "The storage cannot hold a record.", "record-refused"),
    TooManyRequests: Problem(
        429,
        "Too many of your requests are under way; wait for their answers.",
        "too-many-requests",
        headers={"Retry-After": "1"},
    ),
    Overloaded: oauth_problem(
        503,
        "temporarily_unavailable",
        "Too many sign-ins are waiting; try again soon.",
        headers={"Retry-After": "1"},
    ),
    StorageUnavailable: Problem(
        503,
        "The storage does not answer; try again soon.",
        "storage-unavailable",
        headers={"Retry-After": "1"},
    ),
    OutcomeUnknown: Problem(
        503,
        "The storage was lost during the change, which may have been made; check before you try"
        " again.",
        "outcome-unknown",
        headers={"Retry-After": "1"},
    ),
    UnstorableValue: Problem(
        422,
        "The storage cannot hold a value of this request; change the value.",
        "unstorable-value",
    ),
    SchemaNotCurrent: Problem(503, "The service is being upgraded; try again soon.", "upgrading"),
    StorageNotEmpty: Problem(409, "The storage already has users or orders.", "storage-not-empty"),
    BackupRefused: Problem(409, "The backup is not made, or not restored.", "backup-refused"),
    CopyUnfinished: Problem(
        503, "The service is being moved; try again later.", "moving", headers={"Retry-After": "60"}
    ),
    CopyDiffers: Problem(409, "The copy differs from its source.", "copy-differs"),
}
"""What each of the application's errors is in HTTP."""


def to_problem(error: Exception) -> Problem:
    """Find the answer to any error; what nobody expected is an `INTERNAL` problem."""
    match error:
        case ApplicationError():
            return _with_delay(PROBLEMS[type(error)], error)
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


def _with_delay(problem: Problem, error: ApplicationError) -> Problem:
    if not isinstance(error, Overloaded | Throttled):
        return problem
    return replace(problem, headers={**problem.headers, "Retry-After": str(error.retry_after)})


def problem_for_status(
    status: int, headers: dict[str, str] | None = None, detail: object = None
) -> Problem:
    """Make the problem of a status; `detail` is used if it is text that says more than that."""
    details = {
        404: "This address does not exist; /docs lists those that do.",
        405: "This address does not support this method; the header Allow lists those it supports.",
        413: "The request body is too large.",
        500: INTERNAL.detail,
    }
    phrase = reason_phrase(status)
    if not isinstance(detail, str) or detail == phrase:
        detail = details.get(status, f"{phrase}.")
    return Problem(status, detail, headers=headers or {})


def invalid_parameter(*flaws: tuple[str, str, str]) -> Problem:
    """Make a problem of what is wrong where: each `in`, name and detail."""
    errors = [{"in": where, "name": name, "detail": detail} for where, name, detail in flaws]
    detail = "; ".join(f"{name or where} {detail}" for where, name, detail in flaws)
    return Problem(422, detail, "invalid-parameter", {"errors": errors})


def invalid_header(name: str, rule: str) -> Problem:
    """Make a problem of a header that cannot be read; `rule` says what it is."""
    return Problem(400, f"The header {name} {rule}.", "invalid-header")


INVALID_HOST = invalid_header("Host", "must be sent once, as a host and perhaps a port")

_WORDS = {
    "list_type": "must be a list",
    "missing": "is missing",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "string_unicode": "must be text that UTF-8 can write",
}
"""What pydantic says in words of Python, said in those of JSON."""


def _invalid_parameters(error: RequestValidationError) -> Problem:
    flaws = []
    for flaw in error.errors()[:MAX_FLAWS]:
        location, *path = flaw["loc"]
        detail = _WORDS.get(str(flaw.get("type")), flaw["msg"])
        name = ".".join(str(part) for part in path)[:_MAX_NAME_LENGTH]
        flaws.append((str(location), name, detail))
    return invalid_parameter(*flaws)


def _allowed(request: Request) -> str:
    """List every method of an address; the router knows those of the first route there alone."""
    return ", ".join(
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    )


def install_error_handlers(app: FastAPI) -> None:
    """Answer every expected error as a problem. The envelope answers the unexpected.

    What the caller did not cause is logged with its reason, which the answer does not tell.
    """

    async def answer(request: Request, error: Exception) -> Response:
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
