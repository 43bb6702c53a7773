"""Preconditions for resources without an entity tag (RFC 9110, section 13)."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from fastapi import Response
from starlette.requests import HTTPConnection
from starlette.routing import Match

from ordergate.entrypoints.http.problems.problem import ProblemError
from ordergate.entrypoints.http.requests.conditional import UNTAGGED


def with_untagged_preconditions(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Evaluate preconditions just before a route's function runs, after all other checks.

    The resource has no entity tag, so `If-Match` with a list of tags fails. `If-None-Match: *`
    fails where the resource has a current representation, which a GET of its address returns.
    """

    @wraps(endpoint)
    async def guarded(connection: HTTPConnection, *arguments: object, **named: object) -> object:
        answer = _evaluate(connection)
        return await endpoint(*arguments, **named) if answer is None else answer

    # FastAPI passes one `Request`, which may be the endpoint's, and one `HTTPConnection`.
    (connection,) = inspect.signature(_evaluate).parameters.values()
    signature = inspect.signature(endpoint)
    vars(guarded)["__signature__"] = signature.replace(
        parameters=[connection, *signature.parameters.values()]
    )
    return guarded


def _evaluate(connection: HTTPConnection) -> Response | None:
    for name, value in connection.scope["headers"]:
        if name == b"if-match" and value.strip() != b"*":
            raise ProblemError(UNTAGGED)
        if name == b"if-none-match" and value.strip() == b"*" and _is_readable(connection):
            if connection.scope["method"] == "GET":
                return Response(status_code=304)
            raise ProblemError(UNTAGGED)
    return None


def _is_readable(connection: HTTPConnection) -> bool:
    get = {**connection.scope, "method": "GET"}
    return any(route.matches(get)[0] is Match.FULL for route in connection.app.routes)
