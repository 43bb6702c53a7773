"""Problem details (RFC 9457): the form of every error."""

import http
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

MEDIA_TYPE = "application/problem+json"
OAUTH_MEDIA_TYPE = "application/json"
"""The media type of errors of OAuth2 endpoints (RFC 6749, section 5.2)."""

FIRST_OF_OURS = 500
"""The first status of an error that is no fault of the client."""

TRACE_ID = "ordergate.trace_id"
"""The key in the scope of a request, if there are traces."""

INTERNAL_DETAIL = "Something went wrong on our side; the request id helps us find it."


_PHRASES = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""Phrases of RFC 9110 that Python before 3.13 has in older wording."""


def get_reason_phrase(status: int) -> str:
    """Return the reason phrase of any status (RFC 9110, section 15)."""
    try:
        return _PHRASES.get(status) or http.HTTPStatus(status).phrase
    except ValueError:
        return "Error"


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer with an error.

    `name` identifies the kind of problem; `None` means that the status suffices. `detail` says what
    to do. `members` are extension members. `headers` are sent with the answer.
    """

    status: int
    detail: str
    name: str | None = None
    members: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, request_id: str, trace_id: str | None = None) -> dict[str, object]:
        """Return the members in their written order."""
        trace = {"trace_id": trace_id} if trace_id else {}
        return {
            "type": f"urn:problem-type:ordergate:{self.name}" if self.name else "about:blank",
            "title": get_reason_phrase(self.status),
            "status": self.status,
            "detail": self.detail,
            **self.members,
            "request_id": request_id,
            **trace,
        }

    def answer(self, scope: Scope) -> Response:
        """Make the answer to a request, with its ids."""
        state = scope.get("state", {})
        return self.response(state.get("request_id", ""), trace_id=state.get(TRACE_ID))

    def response(
        self, request_id: str, media_type: str = MEDIA_TYPE, *, trace_id: str | None = None
    ) -> Response:
        """Make an answer that is not cached."""
        body = self.body(request_id, trace_id)
        return Response(
            json.dumps(body, ensure_ascii=False, separators=(",", ":")),
            status_code=self.status,
            headers={"Cache-Control": "no-store", **self.headers},
            media_type=media_type,
        )


class ProblemError(HTTPException):
    """An error of HTTP alone: of headers, forms or OAuth2 requests.

    An application without a handler for it, such as a mounted one, answers the status, the headers
    and the detail.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status, problem.detail, problem.headers)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem.detail


class InvalidParameter(BaseModel):
    """A wrong parameter and its mistake."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    location: str = Field(
        alias="in", description="Where it is: body, header, path or query.", examples=["query"]
    )
    name: str = Field(
        description="The name of the parameter, or the path to the member of the body.",
        examples=["id"],
    )
    detail: str = Field(
        description="What is wrong.",
        examples=["must be a whole number from 1 to 9223372036854775807"],
    )


class ProblemDetails(BaseModel):
    """A problem (RFC 9457), with OAuth2's `error` for RFC 6749 and RFC 6750."""

    type: str = Field(
        description="The kind of problem. `about:blank` means that the status suffices."
    )
    title: str = Field(description="The status in words.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    detail: str = Field(description="What is wrong, and what to do.")
    request_id: str = Field(
        description="The same as in the header X-Request-ID; quote it in reports."
    )
    # A factory, because a default would be a part of the schema.
    trace_id: str = Field(
        default_factory=str,
        description="The trace of this request (W3C Trace Context), if the service has traces.",
    )
    error: str = Field(
        default_factory=str, description="The error code of OAuth2 (RFC 6749 or RFC 6750)."
    )
    error_description: str = Field(default_factory=str, description="The same as `detail`.")
    scope: str = Field(
        default_factory=str,
        description="The scopes that the request needs, separated by spaces (RFC 6750).",
    )
    errors: list[InvalidParameter] = Field(
        default_factory=list, description="Each wrong parameter."
    )
    violated_policies: list[str] = Field(
        alias="violated-policies",
        default_factory=list,
        description="The policies of `RateLimit-Policy` whose quota is used up.",
    )


def oauth_problem(
    status: int,
    error: str,
    detail: str,
    *,
    name: str | None = None,
    headers: dict[str, str] | None = None,
) -> Problem:
    """Make a problem with OAuth2's members (RFC 6749, section 5.2)."""
    return Problem(
        status,
        detail,
        name or error.replace("_", "-"),
        {"error": error, "error_description": detail},
        {"Pragma": "no-cache", **(headers or {})},
    )


def problem_for_status(
    status: int, headers: dict[str, str] | None = None, detail: object = None
) -> Problem:
    """Make the problem of a status; `detail` replaces the reason phrase."""
    details = {
        404: "This address does not exist; /docs lists all addresses.",
        405: "This address does not support this method; the header Allow lists its methods.",
        413: "The request body is too large.",
        500: INTERNAL_DETAIL,
    }
    phrase = get_reason_phrase(status)
    if not isinstance(detail, str) or detail == phrase:
        detail = details.get(status, f"{phrase}.")
    return Problem(status, detail, headers=headers or {})


def invalid_parameter(*flaws: tuple[str, str, str]) -> Problem:
    """Make the problem of wrong parameters: location, name and detail of each.

    A detail is what follows the name, as in "must be a list", or a sentence of its own.
    """
    errors = [{"in": where, "name": name, "detail": detail} for where, name, detail in flaws]
    detail = "; ".join(
        f"{name or where}{':' if detail[:1].isupper() else ''} {detail}"
        for where, name, detail in flaws
    )
    return Problem(422, detail, "invalid-parameter", {"errors": errors})


def invalid_header(name: str, rule: str) -> Problem:
    """Make the problem of a malformed header; `rule` describes the form."""
    return Problem(400, f"The header {name} {rule}.", "invalid-header")
