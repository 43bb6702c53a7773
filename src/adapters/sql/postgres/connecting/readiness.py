"""Checks whether a PostgreSQL server accepts connections."""

import ssl

import asyncpg

from ordergate.adapters.sql.postgres.connecting.driver import dial
from ordergate.adapters.sql.postgres.connecting.url import DatabaseUrl
from ordergate.adapters.sql.postgres.errors import describe
from ordergate.adapters.sql.server.hosts import CONNECT_SECONDS

_NOT_YET = frozenset({"53300", "57P01", "57P02", "57P03"})
"""Too many connections; shutting down, crashed, starting up."""

_CONNECTION = "08"
_PROTOCOL_VIOLATION = "08P01"


async def find_reason_to_wait(url: str) -> str | None:
    """Connect once to each host; return why none accepts connections yet.

    `None` means that waiting changes nothing: a host accepted a connection, or refused it for a
    permanent reason such as a wrong password or a missing database.
    """
    reason = None
    for each in DatabaseUrl.read(url).split():
        try:
            connection = await dial(each, asyncpg.Connection, seconds=CONNECT_SECONDS)
        except Exception as error:  # noqa: BLE001 - opening the database says what else is wrong
            if not _is_temporary(error, socket_file=each.hosts[0].is_folder):
                return None
            reason = reason or describe(error)
        else:
            await connection.close()
            return None
    return reason


def _is_temporary(error: Exception, *, socket_file: bool) -> bool:
    state: str | None = getattr(error, "sqlstate", None)
    match error:
        case asyncpg.TargetServerAttributeNotMatched():
            return True
        case _ if state:
            return state in _NOT_YET or (
                state.startswith(_CONNECTION) and state != _PROTOCOL_VIOLATION
            )
        case ssl.SSLError() | PermissionError():
            return False
        case FileNotFoundError():  # of the socket, or of a certificate
            return socket_file
        case ConnectionError():
            return "SSL" not in str(error)
        case _:  # a refusal, an unknown name, no route, or no answer in time
            return isinstance(error, OSError)
