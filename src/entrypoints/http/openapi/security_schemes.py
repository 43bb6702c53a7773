"""The security schemes of the OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from ordergate.application.errors import ApplicationError, InvalidToken, IssuerKeysUnavailable
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.http.openapi.root_path import locate_sign_in
from ordergate.entrypoints.http.openapi.shared import walk_operations
from ordergate.entrypoints.http.problems.catalog import MISSING_TOKEN, REPEATED_AUTHORIZATION
from ordergate.entrypoints.http.problems.problem import Problem
from ordergate.entrypoints.http.security import OPTIONAL, SIGN_IN

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token that the client already has.",
}

Requirements = list[dict[str, list[str]]]


def needs_caller(operation: dict[str, Any]) -> bool:
    """Return whether an operation reads the token of a caller."""
    return any(each.keys() & {SIGN_IN, OPTIONAL} for each in operation.get("security", ()))


def list_required_scopes(operation: dict[str, Any]) -> list[str]:
    """Return the scopes that an operation requires of a caller."""
    return [
        scope
        for requirement in operation.get("security", ())
        for scope in requirement.get(SIGN_IN, ())
    ]


def describe_security(
    document: dict[str, Any],
    settings: Settings,
    scopes: Mapping[str, str],
    *,
    path: str = "",
) -> None:
    """Offer two schemes to protected operations: sign in, or own token.

    With another issuer, the second is the only one. The schemes of an adopter keep their names.
    `path` is that of a mounted Ordergate.
    """
    schemes = document["components"].setdefault("securitySchemes", {})
    own = schemes.pop(SIGN_IN, None)
    schemes.pop(OPTIONAL, None)
    password, bearer = (
        f"ordergate.{name}" if name in schemes else name for name in ("password", "bearer")
    )
    if settings.issues_tokens and own:
        flow = own["flows"]["password"]
        sign_in = locate_sign_in(f"{settings.issuer.removesuffix('/')}/login", path)
        flow |= {"tokenUrl": sign_in, "scopes": {**scopes}}
        schemes[password] = own
    schemes[bearer] = _BEARER
    for _, operation in walk_operations(document):
        requirements = _merge_optional(operation.get("security", []))
        for requirement in list(requirements):
            if SIGN_IN not in requirement:
                continue
            required = requirement.pop(SIGN_IN)
            if settings.issues_tokens:
                requirement[password] = required
                requirements.append({bearer: []})
            else:
                requirement[bearer] = required
        operation["security"] = requirements


def _merge_optional(requirements: Requirements) -> Requirements:
    """Replace the optional scheme, unless an operation requires a token.

    It becomes a token or nothing.
    """
    required = [each for each in requirements if OPTIONAL not in each]
    if len(required) == len(requirements):
        return required
    return required if any(SIGN_IN in each for each in required) else [*required, {}, {SIGN_IN: []}]


def list_refusals(*, issues_tokens: bool) -> list[type[ApplicationError] | Problem]:
    """Return the problems of requests whose caller is refused."""
    keys = () if issues_tokens else (IssuerKeysUnavailable,)
    return [REPEATED_AUTHORIZATION, MISSING_TOKEN, InvalidToken, *keys]
