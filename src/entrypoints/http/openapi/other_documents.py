"""The OpenAPI documents of applications below, above and beside Ordergate."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI

from ordergate.application.errors import ApplicationError
from ordergate.application.ports.rate_limits import Quota
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.http.openapi.rate_limits import list_quota_refusals
from ordergate.entrypoints.http.openapi.responses import merge_responses, problems
from ordergate.entrypoints.http.openapi.security_schemes import (
    describe_security,
    list_refusals,
    list_required_scopes,
    needs_caller,
)
from ordergate.entrypoints.http.openapi.shared import (
    add_problem_schemas,
    complete_document,
    walk_operations,
)
from ordergate.entrypoints.http.problems.catalog import make_insufficient_scope
from ordergate.entrypoints.http.problems.problem import Problem
from ordergate.entrypoints.http.security import OPTIONAL, SIGN_IN


def install_security(
    app: FastAPI,
    settings: Settings,
    scopes: Mapping[str, str],
    *,
    are_problems: bool = False,
    path: str = "",
    quotas: Sequence[Quota] = (),
) -> None:
    """Complete the document of another application with routes for callers.

    `are_problems` says whether its refusals of callers are problems, and not in a form of its own.
    `path` is that of an Ordergate which is mounted below or beside the application. `quotas` are
    those of its requests.
    """

    def complete(document: dict[str, Any]) -> None:
        schemes = document.get("components", {}).get("securitySchemes", {})
        if schemes.keys().isdisjoint({SIGN_IN, OPTIONAL}):
            return
        refusals = [
            *list_refusals(issues_tokens=settings.issues_tokens),
            *list_quota_refusals(quotas, has_caller=True),
        ]
        for _, operation in walk_operations(document):
            if needs_caller(operation):
                _add_refusals(operation, refusals, are_problems=are_problems)
        if are_problems:
            document["components"].setdefault("schemas", {})
            add_problem_schemas(document)
        public = [each for _, each in walk_operations(document) if "security" not in each]
        describe_security(document, settings, scopes, path=path)
        for operation in public:
            del operation["security"]

    complete_document(app, complete)


def _add_refusals(
    operation: dict[str, Any],
    refusals: list[type[ApplicationError] | Problem],
    *,
    are_problems: bool,
) -> None:
    """Describe the refusals of callers to an operation."""
    scopes = list_required_scopes(operation)
    added = problems(*refusals, *([make_insufficient_scope(scopes)] if scopes else []))
    if not are_problems:
        for answer in added.values():
            del answer["content"]
    merge_responses(operation["responses"], added)
    operation["responses"] = dict(sorted(operation["responses"].items()))
