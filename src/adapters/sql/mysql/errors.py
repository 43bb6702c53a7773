"""Classification of errors of MariaDB, MySQL, the driver and the network.

The numbers are those of both manuals; those of 2000 to 2999 are the client's.
"""

import ssl

from asyncmy.errors import MySQLError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ordergate.adapters.sql.server.errors import DriverErrors, describe_without_code

FAILURES = (DBAPIError, PoolTimeoutError, OSError, MySQLError)
"""Errors of an attempt that are not the job's own; OSError includes TimeoutError."""

TLS_FAILED = 2026
CLEAR_PASSWORD = 2059
NOT_UNICODE = 1366

_CONFLICTS = frozenset({1020, 1213, 1412, 1684})
"""A changed record, a deadlock, and a table whose definition is being changed."""

_READ_ONLY = frozenset({1290, 1792, 1836})
"""Errors of a server that became a replica."""

_LOST = _READ_ONLY | {0, 1047, 1053, 1927, 2002, 2003, 2006, 2013, 2014, 2055}
"""Errors after which a connection is of no use; 0 is the driver's, of one that is closed."""

_COMMIT_AMBIGUOUS = (_LOST - _READ_ONLY) | {1180, 1317, 1969, 3024}
"""Lost connections, an error during COMMIT, and one that was interrupted or took too long."""

VIOLATED_CHECKS = frozenset({3819, 4025})
"""Errors of CHECK constraints, on MySQL and MariaDB, which the driver takes for others."""

_UNSTORABLE = frozenset({1264, 1265, 1292, 1300, NOT_UNICODE, 1406, 1411, 3988})
"""Errors of values. Their messages quote them."""

_QUOTED = frozenset({
    1040, 1044, 1045, 1047, 1049, 1053, 1054, 1130, 1142, 1143, 1146, 1205, 1213, 1227, 1290,
    1684, 1792, 1820, 1836, 1862, 1927, 1969, 2059, 3024, 3118, 4151,
})  # fmt: skip
"""Errors whose messages hold neither values nor statements."""

_OTHER_NAME = frozenset({62, 64})
"""OpenSSL's errors of a certificate for another host or address."""

_TLS_WORDS = (ssl.SSLError, "TLS failed; look at ssl-mode, ssl-ca, ssl-cert and ssl-key")


class UnusableServerError(Exception):
    """The server cannot hold this service's data. The message says why."""


def get_error_code(cause: Exception) -> int | None:
    """Return the number of an error, if it has one."""
    if isinstance(cause, MySQLError) and cause.args and isinstance(cause.args[0], int):
        return cause.args[0]
    return None


def is_lost(cause: Exception) -> bool:
    """Report whether the connection is unusable."""
    code = get_error_code(cause)
    if code is None:
        return not isinstance(cause, PoolTimeoutError | UnusableServerError)
    return code in _LOST


def is_transient(cause: Exception) -> bool:
    """Report whether a new attempt may succeed soon."""
    again = is_lost(cause) or get_error_code(cause) in _CONFLICTS
    return again and not isinstance(cause, TimeoutError)


def is_commit_ambiguous(cause: Exception) -> bool:
    """Report whether a failed COMMIT may have succeeded."""
    code = get_error_code(cause)
    return code is None or code in _COMMIT_AMBIGUOUS


def is_unstorable(cause: Exception) -> bool:
    """Report whether a value was refused."""
    return get_error_code(cause) in _UNSTORABLE


def describe(cause: Exception) -> str:
    """Describe an error without quoting a value or a statement."""
    code = get_error_code(cause)
    if isinstance(cause, UnusableServerError) or code == TLS_FAILED:
        return str(cause.args[-1])
    if code in _QUOTED:
        return f"{' '.join(str(cause.args[-1]).split())} ({code})"
    if code in _UNSTORABLE:
        return f"a value that it cannot store ({code})"
    if code and code not in _LOST:
        return f"an error of the server ({code})"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _describe_certificate(cause)
    return describe_without_code(cause, _TLS_WORDS)


def _describe_certificate(cause: ssl.SSLCertVerificationError) -> str:
    reason = cause.verify_message.rstrip(".")
    if cause.verify_code in _OTHER_NAME:
        needed = "use a host of the certificate, as ssl-mode=VERIFY_IDENTITY needs"
        return f"the certificate of the server has another name: {reason}; {needed}"
    needed = "name the file of its CA by ssl-ca, or renew it"
    return f"the certificate of the server is not trusted: {reason}; {needed}"


def make_driver_errors(server: str) -> DriverErrors:
    """Return the classification, with the name of the server in messages."""
    return DriverErrors(
        server, FAILURES, describe, is_lost, is_transient, is_commit_ambiguous, is_unstorable
    )
