"""A connection to one host of PostgreSQL, and its checks."""

import asyncio
import re
import socket
import time
from contextlib import suppress

import asyncpg

from ordergate.adapters.sql.postgres.connecting.driver import dial
from ordergate.adapters.sql.postgres.connecting.session_settings import (
    list_settings,
    require_role_settings,
    write_options,
)
from ordergate.adapters.sql.postgres.connecting.url import DatabaseUrl
from ordergate.adapters.sql.server.connection import NETWORK_SECONDS, keep_alive
from ordergate.adapters.sql.statement_spans import Server

_GOODBYE_SECONDS = 1.0
_UNCONFIRMED = "COMMIT stopped waiting for a synchronous standby"
_ENCODING = "UTF8"
_OPTIONS = re.compile(r"startup parameter.*options|command-line options", re.IGNORECASE)
"""What PgBouncer, Neon and RDS Proxy say of the settings of a connection."""


class PostgresConnection(asyncpg.Connection):
    """A connection of the driver, as `ServerConnection` describes.

    A COMMIT is `unconfirmed` when the server stopped waiting for a synchronous standby, which it
    reports as a success. At `checked_at`, a standby had every transaction of a timeline with an id
    below that of `complete_before`.
    """

    def __init__(self, protocol: object, transport: asyncio.Transport, *rest: object) -> None:
        super().__init__(protocol, transport, *rest)
        self.socket: socket.socket = transport.get_extra_info("socket")
        self.opened_at = time.monotonic()
        self.idle_since: float | None = None
        self.committing = False
        self.unconfirmed: str | None = None
        self.complete_before = (0, 0)
        self.checked_at = float("-inf")
        self.server = Server("postgresql")
        self.add_log_listener(self._read_warning)

    def _read_warning(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        # The text is in the server's language, and the SQLSTATE is that of any warning.
        if message.server_source_function == "SyncRepWaitForLSN":
            self.unconfirmed = _UNCONFIRMED

    async def disconnect(self) -> None:
        """End the session within a second."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self.close(timeout=_GOODBYE_SECONDS)


async def connect(
    url: DatabaseUrl, *, seconds: float, statement_seconds: float, sends_settings: bool = True
) -> PostgresConnection:
    """Connect to the only host of a URL, and check the encoding.

    It has `seconds` to answer. `statement_seconds` of 0 sets no limit. The settings of the session
    are sent, or those of the role are checked. Raises the errors of `dial`.
    """
    settings = list_settings(statement_seconds)
    options = [url.parameters.options, write_options(settings) if sends_settings else ""]
    try:
        connection = await dial(
            url,
            PostgresConnection,
            seconds=seconds,
            command_seconds=statement_seconds + NETWORK_SECONDS if statement_seconds else None,
            options=" ".join(filter(None, options)),
        )
    except asyncpg.PostgresError as error:
        if sends_settings and _OPTIONS.search(str(error)):
            raise asyncpg.ClientConfigurationError(
                f"{error.args[0]} ({error.sqlstate}); for a pooler that refuses settings, set"
                " ORDERGATE_DATABASE_SETTINGS=role"
            ) from None
        raise
    if not sends_settings and statement_seconds:
        try:
            await require_role_settings(connection, settings)
        except BaseException:
            connection.terminate()
            raise
    (host,) = url.hosts
    connection.server = Server("postgresql", host.name, None if host.is_folder else host.port)
    keep_alive(connection.socket, url.parameters.keepalive, statement_seconds)
    encoding = getattr(connection.get_settings(), "server_encoding", _ENCODING)
    if encoding != _ENCODING:
        connection.terminate()
        raise asyncpg.ClientConfigurationError(
            f"the database has the encoding {encoding}, which cannot hold every text; create one"
            f" with ENCODING '{_ENCODING}' TEMPLATE template0"
        )
    return connection
