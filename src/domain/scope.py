"""Scopes of tokens (RFC 6749, section 3.3)."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class Scope(StrEnum):
    """A permission of a client to act for a user."""

    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    ACCOUNT = "account"


BUILT_IN_SCOPES: Mapping[str, str] = MappingProxyType(
    {
        Scope.ORDERS_READ.value: "Read your orders",
        Scope.ORDERS_WRITE.value: "Place and cancel your orders",
        Scope.ACCOUNT.value: "Manage your account and your sessions",
    }
)
"""The scopes of the routes of this service, with a description for users."""

MAX_SCOPES_LENGTH = 255
"""The maximum in characters of all scopes of a session, separated by spaces."""

_NAME = re.compile(r"[!#-\[\]-~]+")


class InvalidScopeDeclaration(ValueError):
    """A scope of the adopter cannot be declared; the message says why."""


def add_scopes(declared: Mapping[str, str]) -> Mapping[str, str]:
    """Return the built-in scopes and further ones, with their descriptions."""
    for name, description in declared.items():
        if not _NAME.fullmatch(name):
            raise InvalidScopeDeclaration(
                f"the scope {name!r} must have printable ASCII characters, and no space, quotation"
                " mark or backslash"
            )
        if name in BUILT_IN_SCOPES:
            raise InvalidScopeDeclaration(f"the scope {name} exists already; choose another name")
        if not description.strip():
            raise InvalidScopeDeclaration(f"the scope {name} needs a description")
    return MappingProxyType({**BUILT_IN_SCOPES, **declared})


def require_short_scopes(names: Iterable[str]) -> None:
    """Refuse scopes that a session cannot hold together."""
    if len(" ".join(names)) > MAX_SCOPES_LENGTH:
        raise InvalidScopeDeclaration(
            f"the names of all scopes have more than {MAX_SCOPES_LENGTH} characters together, with"
            " spaces between them; choose shorter names"
        )
