"""Parts of the OpenAPI document for routes: answers, problems and headers."""

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, JsonValue

from ordergate.application.errors import ApplicationError
from ordergate.entrypoints.http.problems.catalog import PROBLEMS
from ordergate.entrypoints.http.problems.problem import MEDIA_TYPE, Problem

PROBLEM_SCHEMA = "#/components/schemas/ordergate.ProblemDetails"
"""The schema of problems, until the document is complete and knows which names are free."""

_EXAMPLE_ID = "7f1c2a9e5b0d4c3a8e6f1d2c3b4a5968"
_HEADERS = {
    "Accept-Encoding": "The content codings that the service reads (RFC 9110, section 12.5.3).",
    "Retry-After": "The number of seconds after which to try again (RFC 9110, section 10.2.3).",
    "WWW-Authenticate": "How to authenticate (RFC 9110, section 11.6.1).",
}
"""The headers of problems that the document describes."""

INT64: dict[str, Any] = {"format": "int64"}
"""For integers above 2^31-1: clients otherwise read them with 32 bits."""

Responses = dict[int | str, dict[str, Any]]
"""Answers by their status, in the form of FastAPI's parameter `responses`."""


def with_example(**values: JsonValue) -> ConfigDict:
    """Give a model an example.

    Clients show it for each body of this model.
    """
    return ConfigDict(json_schema_extra={"examples": [values]})


def problems(*answers: type[ApplicationError] | Problem) -> Responses:
    """Document problems and errors; each is an example of its answer."""
    responses: Responses = {}
    for answer in answers:
        problem = answer if isinstance(answer, Problem) else PROBLEMS[answer]
        merge_responses(responses, {str(problem.status): _describe(problem)})
    return responses


def header(description: str, example: str) -> dict[str, Any]:
    """Document a header of an answer."""
    return {"description": description, "schema": {"type": "string"}, "example": example}


def header_parameter(name: str, description: str, example: str, **schema: str) -> dict[str, Any]:
    """Document an optional header of a request."""
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "string", "examples": [example], **schema, "title": name},
        "description": description,
    }


def document_answer(
    status: int,
    description: str,
    example: Mapping[str, JsonValue] | None = None,
    **headers: dict[str, Any],
) -> Responses:
    """Document an answer that is no error.

    `example` replaces the example of the schema.
    """
    answer: dict[str, Any] = {"description": description}
    if headers:
        answer["headers"] = {name.replace("_", "-"): value for name, value in headers.items()}
    if example:
        answer["content"] = {"application/json": {"example": example}}
    return {status: answer}


def merge_responses(responses: Responses, added: Responses) -> None:
    """Add answers. What `responses` has already stays as it is."""
    for status, more in added.items():
        known = responses.setdefault(status, {})
        if "$ref" in known:
            continue
        for name in more.keys() - {"content", "headers"}:
            known.setdefault(name, more[name])
        if "headers" in more:
            known["headers"] = more["headers"] | known.get("headers", {})
        for media_type, content in more.get("content", {}).items():
            there = known.setdefault("content", {}).setdefault(
                media_type, {**content, "examples": {}}
            )
            if there.get("schema") == content["schema"]:
                for name, example in content["examples"].items():
                    _add_example(there.setdefault("examples", {}), name, example)


def _add_example(examples: dict[str, Any], name: str, example: object) -> None:
    """Add an example under its name, with a number if taken."""
    number = 1
    key = name
    while key in examples:
        if examples[key] == example:
            return
        number += 1
        key = f"{name}-{number}"
    examples[key] = example


def _describe(problem: Problem) -> dict[str, Any]:
    body = problem.body(_EXAMPLE_ID)
    described: dict[str, Any] = {
        "description": body["title"],
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": PROBLEM_SCHEMA},
                "examples": {problem.name or "problem": {"value": body}},
            }
        },
    }
    headers = {
        name: header(_HEADERS[name], value)
        for name, value in problem.headers.items()
        if name in _HEADERS
    }
    return described | ({"headers": headers} if headers else {})
