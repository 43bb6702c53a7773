"""The OpenAPI document: every operation tells its errors, as problems, with examples."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from application.errors import ApplicationError, InvalidToken, StorageUnavailable
from domain.user import MAX_ID
from entrypoints.http.errors import (
    INTERNAL,
    MISSING_TOKEN,
    PROBLEMS,
    REPEATED_AUTHORIZATION,
)
from entrypoints.http.problems import MEDIA_TYPE, Problem, ProblemDetails

_EXAMPLE_ID = "7f1c2a9e5b0d4c3a8e6f1d2c3b4a5968"
_INVALID_PARAMETER = Problem(
    422,
    "id must be a whole number from 1 to 9223372036854775807",
    "invalid-parameter",
    {
        "errors": [
            {
                "in": "query",
                "name": "id",
                "detail": "must be a whole number from 1 to 9223372036854775807",
            }
        ]
    },
)

Responses = dict[int | str, dict[str, Any]]


def problems(*answers: type[ApplicationError] | Problem) -> Responses:
    """Document these problems, and the answers to these errors of the application."""
    return _responses(
        *(answer if isinstance(answer, Problem) else PROBLEMS[answer] for answer in answers)
    )


def install_openapi(app: FastAPI) -> None:
    """Complete the document with the errors that every operation can answer."""

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
                )
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    everywhere = _responses(_INVALID_PARAMETER, INTERNAL, PROBLEMS[StorageUnavailable])
    protected = _responses(REPEATED_AUTHORIZATION, MISSING_TOKEN, PROBLEMS[InvalidToken])
    for path in document["paths"].values():
        for operation in path.values():
            added = everywhere | (protected if operation.get("security") else {})
            responses = operation["responses"]
            for status, response in added.items():
                if status == "422" or status not in responses:
                    responses[status] = response
                else:
                    kept = responses[status]["content"][MEDIA_TYPE]["examples"]
                    kept |= response["content"][MEDIA_TYPE]["examples"]
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


def _write_exactly(node: Any) -> None:  # noqa: ANN401 - any part of a JSON document
    """Put the largest id back: FastAPI's model of the document keeps bounds as floats."""
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
