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


ORDER_SCOPES = frozenset({Scope.ORDERS_READ.value, Scope.ORDERS_WRITE.value})
"""The scopes that only routes of orders require."""


def list_built_in_scopes(*, orders: bool) -> Mapping[str, str]:
    """Return the scopes of own routes, with or without orders."""
    return {
        name: description
        for name, description in BUILT_IN_SCOPES.items()
        if orders or name not in ORDER_SCOPES
    }


def add_scopes(
    declared: Mapping[str, str], *, built_in: Mapping[str, str] = BUILT_IN_SCOPES
) -> Mapping[str, str]:
    """Return the built-in scopes and further ones, with their descriptions."""
    if not isinstance(declared, Mapping):
        raise InvalidScopeDeclaration(
            'scopes must be names with descriptions, as in {"notes:read": "Read your notes"}'
        )
    for name, description in declared.items():
        require_scope_name(name)
        if name in built_in:
            raise InvalidScopeDeclaration(f"the scope {name} exists already; choose another name")
        if not _is_text(description):
            raise InvalidScopeDeclaration(f"the scope {name} needs a description")
    return MappingProxyType({**built_in, **declared})


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def require_scope_name(name: object) -> None:
    """Raise `InvalidScopeDeclaration` for anything that is not the name of one scope."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidScopeDeclaration(
            f"the scope {name!r} must be text of printable ASCII characters, and no space,"
            " quotation mark or backslash"
        )


def require_short_scopes(names: Iterable[str]) -> None:
    """Refuse scopes that a session cannot hold together."""
    if len(" ".join(names)) > MAX_SCOPES_LENGTH:
        raise InvalidScopeDeclaration(
            f"the names of all scopes have more than {MAX_SCOPES_LENGTH} characters together, with"
            " spaces between them; choose shorter names"
        )
