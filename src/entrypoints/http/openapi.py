"""The OpenAPI document, with the problems of every operation and examples."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ordergate.application.errors import (
    ApplicationError,
    InvalidToken,
    IssuerKeysUnavailable,
    OutcomeUnknown,
    StorageUnavailable,
)
from ordergate.domain.user import MAX_ID
from ordergate.entrypoints.http.problems.catalog import (
    HEAD_TOO_LARGE,
    INTERNAL,
    MALFORMED,
    MISSING_TOKEN,
    PROBLEMS,
    REPEATED_AUTHORIZATION,
    insufficient_scope,
)
from ordergate.entrypoints.http.problems.problem import (
    MEDIA_TYPE,
    Problem,
    ProblemDetails,
    invalid_parameter,
    problem_for_status,
)

_EXAMPLE_ID = "7f1c2a9e5b0d4c3a8e6f1d2c3b4a5968"
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token of the issuer that this service accepts.",
}
_STRAY_PARAMETER = invalid_parameter(("query", "page", "is not a parameter here; known: none"))

Responses = dict[int | str, dict[str, Any]]


def problems(*answers: type[ApplicationError] | Problem) -> Responses:
    """Document these problems, and the problems of these errors."""
    return _responses(
        *(answer if isinstance(answer, Problem) else PROBLEMS[answer] for answer in answers)
    )


def header(description: str, example: str) -> dict[str, Any]:
    """Document a header of an answer."""
    return {"description": description, "schema": {"type": "string"}, "example": example}


def header_parameter(name: str, description: str, example: str, **schema: str) -> dict[str, Any]:
    """Document an optional header of a request."""
    about = {"description": description, "examples": [example], **schema, "title": name}
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "string", **about},
        "description": description,
    }


def with_headers(status: int, description: str, **headers: dict[str, Any]) -> Responses:
    """Document a successful answer and its headers."""
    return {status: {"description": description, "headers": headers}}


def install_openapi(app: FastAPI, *, issues_tokens: bool) -> None:
    """Complete the document with the problems of every operation.

    Without `issues_tokens`, another issuer makes the tokens, and the document only says that they
    are JWTs.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    summary=app.summary,
                    description=app.description,
                    routes=app.routes,
                    tags=app.openapi_tags,
                ),
                issues_tokens=issues_tokens,
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # as FastAPI says to


def _complete(document: dict[str, Any], *, issues_tokens: bool) -> dict[str, Any]:
    everywhere = _responses(
        MALFORMED,
        problem_for_status(413),
        _STRAY_PARAMETER,
        HEAD_TOO_LARGE,
        INTERNAL,
        PROBLEMS[StorageUnavailable],
    )
    changing = _responses(PROBLEMS[OutcomeUnknown])
    protected = _responses(
        REPEATED_AUTHORIZATION,
        MISSING_TOKEN,
        PROBLEMS[InvalidToken],
        *(() if issues_tokens else (PROBLEMS[IssuerKeysUnavailable],)),
    )
    if not issues_tokens:
        _take_tokens_from_elsewhere(document)
    for path in document["paths"].values():
        for method, operation in path.items():
            responses = operation["responses"]
            if MEDIA_TYPE not in responses.get("422", {"content": ()})["content"]:
                responses.pop("422", None)  # FastAPI's own, which is never answered
            needed = [
                scope
                for kind in operation.get("security", ())
                for scopes in kind.values()
                for scope in scopes
            ]
            forbidden = _responses(insufficient_scope(needed)) if needed else {}
            for added in (
                everywhere,
                {} if method == "get" else changing,
                protected if operation.get("security") else {},
                forbidden,
            ):
                _merge(responses, added)
            operation["responses"] = dict(sorted(responses.items()))
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schema = ProblemDetails.model_json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}"
    )
    schemas.update(schema.pop("$defs"))
    schemas["ProblemDetails"] = schema
    _write_exactly(document)
    return document


def _take_tokens_from_elsewhere(document: dict[str, Any]) -> None:
    """Replace the password flow by a bearer token."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    if schemes.pop("password", None):
        schemes["bearer"] = dict(_BEARER)
    for path in document["paths"].values():
        for operation in path.values():
            for requirement in operation.get("security", ()):
                if "password" in requirement:
                    requirement["bearer"] = requirement.pop("password")


def _merge(responses: Responses, added: Responses) -> None:
    for status, response in added.items():
        known = responses.get(status, {"content": {MEDIA_TYPE: {"examples": {}}}})
        examples = known["content"][MEDIA_TYPE]["examples"]
        more = response["content"][MEDIA_TYPE]
        merged = {**response, **known}
        merged["content"] = {MEDIA_TYPE: {**more, "examples": examples | more["examples"]}}
        if headers := response.get("headers", {}) | known.get("headers", {}):
            merged["headers"] = headers
        responses[status] = merged


def _write_exactly(node: object) -> None:
    """Restore the largest id: FastAPI's model of the document keeps bounds as floats."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and node.get("maximum") == float(MAX_ID):
        node["maximum"] = MAX_ID
    for child in children:
        _write_exactly(child)


def _responses(*answers: Problem) -> Responses:
    """Group problems by status; each is an example of its response."""
    responses: Responses = {}
    for problem in answers:
        response = responses.setdefault(
            str(problem.status),
            {
                "description": problem.body("")["title"],
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": "#/components/schemas/ProblemDetails"},
                        "examples": {},
                    }
                },
            },
        )
        examples = response["content"][MEDIA_TYPE]["examples"]
        examples[problem.name or "problem"] = {"value": problem.body(_EXAMPLE_ID)}
        for header, value in problem.headers.items():
            if header in {"Retry-After", "WWW-Authenticate"}:
                response.setdefault("headers", {})[header] = {
                    "schema": {"type": "string"},
                    "example": value,
                }
    return responses
