"""Classification of errors of PostgreSQL, the driver and the network."""

import re
import ssl

import asyncpg
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ordergate.adapters.sql.server.errors import DriverErrors, describe_without_code

FAILURES = (
    DBAPIError,
    EmulatedDBAPIException,
    PoolTimeoutError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""Errors of an attempt that are not the job's own; OSError includes TimeoutError."""

_CONFLICTS = frozenset({"40001", "40P01", "0A000"})
"""Serialization failure, deadlock, and a cached plan from before a migration."""

_LOST = frozenset({"25006", "57P01", "57P02", "57P03"})
"""Errors of a server that became a standby, shuts down, crashed or starts."""

_WITHOUT_STATEMENT = frozenset({"26000", "42P05"})
"""A prepared statement is missing, or is another's. Only a pooler is the cause here."""

_CONNECTION = "08"
_DATA = "22"
_COMMIT_AMBIGUOUS = ("08", "40003", "57")


class NoStandbyError(ConnectionError):
    """The host takes writes, and a standby is wanted."""


_WORDS = (
    (NoStandbyError, "no host is a standby"),
    (asyncpg.TargetServerAttributeNotMatched, "no host matches target_session_attrs"),
    (ssl.SSLError, "TLS failed; look at sslmode, sslrootcert, sslcert and sslkey"),
)


def is_lost(cause: Exception) -> bool:
    """Report whether the connection is unusable."""
    state = _get_state(cause)
    if state is None:
        return not isinstance(cause, PoolTimeoutError | ValueError)
    return state in _LOST or state.startswith(_CONNECTION)


def is_transient(cause: Exception) -> bool:
    """Report whether a new attempt may succeed soon.

    A timeout is not repeated.
    """
    if isinstance(cause, TimeoutError | NoStandbyError):
        return False
    return is_lost(cause) or _get_state(cause) in _CONFLICTS


def is_commit_ambiguous(cause: Exception) -> bool:
    """Report whether a failed COMMIT may have succeeded."""
    state = _get_state(cause)
    return state is None or state.startswith(_COMMIT_AMBIGUOUS)


def is_unstorable(cause: Exception) -> bool:
    """Report whether the server (class 22) or the driver refused a value."""
    state = _get_state(cause)
    if state is None:
        return isinstance(cause, ValueError) and not isinstance(
            cause, asyncpg.ClientConfigurationError | OSError
        )
    return state.startswith(_DATA)


def describe_driver_error(error: Exception) -> str:
    """Describe why the driver did not connect, without a password."""
    if isinstance(error, asyncpg.ClientConfigurationError):
        # One line, without the address of an object that the driver writes in place of names.
        return re.sub(r" one of <[^>]*>", " one that exists", " ".join(str(error).split()))
    if isinstance(error, UnicodeError):
        return "the user's name or the password has characters that neither can have"
    return (
        "the driver cannot use the URL together with the PG variables of the environment"
        f" ({type(error).__name__})"
    )


def describe(cause: Exception) -> str:
    """Describe an error without quoting a value or a statement."""
    state = _get_state(cause)
    if state in _WITHOUT_STATEMENT:
        return (
            "the pooler keeps no prepared statements; PgBouncer needs version 1.21 or later, with"
            f" max_prepared_statements above 0 ({state})"
        )
    if state and not state.startswith(_DATA):
        return f"{cause.args[0]} ({state})"
    if state:
        return f"a value that it cannot store ({state})"
    if isinstance(cause, asyncpg.ClientConfigurationError):
        return str(cause)
    if isinstance(cause, ConnectionError) and "SSL" in str(cause):
        return "the server does not support TLS, which sslmode requires"
    return describe_without_code(cause, *_WORDS)


def _get_state(cause: Exception) -> str | None:
    state: str | None = getattr(cause, "sqlstate", None)
    return state


ERRORS = DriverErrors(
    "PostgreSQL", FAILURES, describe, is_lost, is_transient, is_commit_ambiguous, is_unstorable
)
