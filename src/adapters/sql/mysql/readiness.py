"""Checks whether a MariaDB or MySQL server accepts connections."""

import ssl

from ordergate.adapters.sql.mysql.connection import connect
from ordergate.adapters.sql.mysql.errors import describe, get_error_code
from ordergate.adapters.sql.mysql.url import split_hosts
from ordergate.adapters.sql.server.hosts import CONNECT_SECONDS

_NOT_YET = frozenset({1040, 1047, 1053, 2006, 2013})
"""Too many connections, no cluster, a shutdown, and a connection that a starting server closed."""


async def find_reason_to_wait(url: str) -> str | None:
    """Return why no host accepts connections yet.

    `None` means that waiting changes nothing for one of them.
    """
    reasons = [await _find_reason(host) for host in split_hosts(url)]
    return reasons[0] if all(reasons) else None


async def _find_reason(host: str) -> str | None:
    try:
        connection = await connect(host, seconds=CONNECT_SECONDS, statement_seconds=0)
    except Exception as error:  # noqa: BLE001 - opening the database says what else is wrong
        return describe(error) if _is_temporary(error) else None
    await connection.disconnect()
    return None


def _is_temporary(error: Exception) -> bool:
    if get_error_code(error) is not None:
        return get_error_code(error) in _NOT_YET
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLError | PermissionError)
