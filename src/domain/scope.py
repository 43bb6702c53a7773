"""What a token may be used for (RFC 6749, section 3.3)."""

from enum import StrEnum


class Scope(StrEnum):
    """One thing a client may do for a user."""

    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    ACCOUNT = "account"


ALL_SCOPES = frozenset(Scope)
