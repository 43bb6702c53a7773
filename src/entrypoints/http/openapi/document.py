"""The OpenAPI document, with the problems, examples and addresses of every operation."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI

from ordergate.application.errors import (
    CopyUnfinished,
    OutcomeUnknown,
    RecordUnreadable,
    SchemaNotCurrent,
    StorageUnavailable,
    UnstorableValue,
)
from ordergate.application.ports.rate_limits import Quota
from ordergate.domain.user import MAX_ID
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.http.identity.forms import describe_scopes
from ordergate.entrypoints.http.identity.oauth import OAUTH_PATHS
from ordergate.entrypoints.http.openapi.consistency import describe_consistency
from ordergate.entrypoints.http.openapi.rate_limits import describe_rate_limits
from ordergate.entrypoints.http.openapi.responses import (
    merge_responses,
    problems,
)
from ordergate.entrypoints.http.openapi.security_schemes import (
    describe_security,
    list_refusals,
    list_required_scopes,
    needs_caller,
)
from ordergate.entrypoints.http.openapi.shared import (
    add_problem_schemas,
    complete_document,
    share_bodies,
    share_headers,
    share_problems,
    show_examples,
    walk_operations,
)
from ordergate.entrypoints.http.problems.catalog import (
    BODY_TOO_SLOW,
    HEAD_TOO_LARGE,
    INTERNAL,
    INVALID_HOST,
    MALFORMED,
    NO_DESCRIPTORS,
    SHUTTING_DOWN,
    TOO_LARGE,
    TOO_MANY_FIELDS,
    make_insufficient_scope,
)
from ordergate.entrypoints.http.problems.problem import (
    MEDIA_TYPE,
    OAUTH_MEDIA_TYPE,
    invalid_parameter,
)

TAGS = [
    {"name": "authentication", "description": "Sign in, renew a session and revoke a token."},
    {"name": "orders", "description": "Place, list, read and cancel your orders."},
    {"name": "account", "description": "Manage your account and your sessions."},
    {
        "name": "discovery",
        "description": "Metadata for OAuth2 clients, and public keys for other services.",
    },
    {"name": "health", "description": "Checks for supervisors and load balancers."},
]
LICENSE = {"name": "MIT", "identifier": "MIT"}

_VALIDATION_ERROR = "#/components/schemas/HTTPValidationError"
_STRAY_PARAMETER = invalid_parameter(("query", "page", "is not a parameter here; known: none"))


def install_openapi(
    app: FastAPI, settings: Settings, scopes: Mapping[str, str], quotas: Sequence[Quota]
) -> None:
    """Complete the document of an application.

    With another issuer, the document only says that tokens are JWTs: it cannot know its sign-in,
    nor the public address of this service.
    """
    complete_document(app, lambda document: _complete(document, settings, scopes, quotas))


def _complete(
    document: dict[str, Any],
    settings: Settings,
    scopes: Mapping[str, str],
    quotas: Sequence[Quota],
) -> None:
    document.setdefault("components", {}).setdefault("schemas", {})
    _add_problems(document, issues_tokens=settings.issues_tokens)
    describe_rate_limits(document, quotas)
    if settings.read_database_url:
        describe_consistency(document)
    _drop_unused_schemas(document)
    describe_security(document, settings, scopes)
    if sign_in := document["paths"].get("/login"):
        (content,) = sign_in["post"]["requestBody"]["content"].values()
        content["schema"]["properties"]["scope"] |= describe_scopes(scopes)
    share_bodies(document)
    _use_oauth_media_type(document)
    share_headers(document)
    share_problems(document)
    add_problem_schemas(document)
    show_examples(document)
    _write_exactly(document)


def _drop_unused_schemas(document: dict[str, Any]) -> None:
    """Remove FastAPI's schemas of validation errors, unless an operation still has them."""
    users = [document["paths"], document.get("webhooks")]
    if _VALIDATION_ERROR not in json.dumps(users):
        for unused in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(unused, None)


def _add_problems(document: dict[str, Any], *, issues_tokens: bool) -> None:
    everywhere = problems(
        MALFORMED,
        INVALID_HOST,
        BODY_TOO_SLOW,
        TOO_LARGE,
        _STRAY_PARAMETER,
        HEAD_TOO_LARGE,
        TOO_MANY_FIELDS,
        INTERNAL,
        RecordUnreadable,
        StorageUnavailable,
        SchemaNotCurrent,
        CopyUnfinished,
        SHUTTING_DOWN,
        NO_DESCRIPTORS,
    )
    changing = problems(OutcomeUnknown, UnstorableValue)
    protected = problems(*list_refusals(issues_tokens=issues_tokens), UnstorableValue)
    for method, operation in walk_operations(document):
        responses = operation["responses"]
        _drop_own_422(responses)
        merge_responses(responses, everywhere)
        if method != "get":
            merge_responses(responses, changing)
        if needs_caller(operation):
            merge_responses(responses, protected)
        if scopes := list_required_scopes(operation):
            merge_responses(responses, problems(make_insufficient_scope(scopes)))
        operation["responses"] = dict(sorted(responses.items()))


def _drop_own_422(responses: dict[str, Any]) -> None:
    """Remove FastAPI's description of wrong parameters.

    They are answered as a problem.
    """
    content = responses.get("422", {}).get("content", {})
    if content.get("application/json") == {"schema": {"$ref": _VALIDATION_ERROR}}:
        del content["application/json"]
        if not content and responses["422"].get("description") == "Validation Error":
            del responses["422"]


def _use_oauth_media_type(document: dict[str, Any]) -> None:
    """Describe the errors of OAuth2 endpoints as `application/json`.

    A malformed request is left out: the server answers it before it knows the endpoint.
    """
    for path in OAUTH_PATHS & document["paths"].keys():
        for response in document["paths"][path]["post"]["responses"].values():
            content = response.get("content", {})
            if MEDIA_TYPE in content:
                content[OAUTH_MEDIA_TYPE] = content.pop(MEDIA_TYPE)
                content[OAUTH_MEDIA_TYPE]["examples"].pop(MALFORMED.name, None)


def _write_exactly(node: object) -> None:
    """Restore integers: FastAPI's model of the document keeps bounds as floats.

    The nearest float of `MAX_ID` is above it.
    """
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and node.get("type") == "integer":
        for bound in node.keys() & {"minimum", "maximum"}:
            if float(node[bound]).is_integer():
                node[bound] = MAX_ID if node[bound] == float(MAX_ID) else int(node[bound])
    for child in children:
        _write_exactly(child)
