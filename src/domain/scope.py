"""Scopes of tokens (RFC 6749, section 3.3)."""

from enum import StrEnum


class Scope(StrEnum):
    """A permission of a client to act for a user."""

    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    ACCOUNT = "account"


ALL_SCOPES = frozenset(Scope)
