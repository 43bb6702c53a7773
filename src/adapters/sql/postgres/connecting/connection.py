"""A connection to one host of PostgreSQL, and its checks."""

import asyncio
import re
import socket
import time

import asyncpg

from ordergate.adapters.sql.postgres.connecting.driver import dial
from ordergate.adapters.sql.postgres.connecting.parameters import Keepalive
from ordergate.adapters.sql.postgres.connecting.session_settings import (
    list_settings,
    require_role_settings,
    write_options,
)
from ordergate.adapters.sql.postgres.connecting.url import DatabaseUrl

NETWORK_SECONDS = 1.0
"""How much longer than the time limit of a statement an answer is awaited."""

_ENCODING = "UTF8"
_OPTIONS = re.compile(r"startup parameter.*options|command-line options", re.IGNORECASE)
"""What PgBouncer, Neon and RDS Proxy say of the settings of a connection."""


class PostgresConnection(asyncpg.Connection):
    """A connection of the driver with the state for pool and transactions.

    `opened_at` and `idle_since` are seconds of `time.monotonic`; a connection that was never
    returned to the pool has no `idle_since`. `committing`: COMMIT was sent and not answered.
    `replication_wait_cancelled`: during a COMMIT, the server stopped waiting for a synchronous
    standby. It reports such a COMMIT as a success.
    """

    def __init__(self, protocol: object, transport: asyncio.Transport, *rest: object) -> None:
        super().__init__(protocol, transport, *rest)
        self.socket: socket.socket = transport.get_extra_info("socket")
        self.opened_at = time.monotonic()
        self.idle_since: float | None = None
        self.committing = False
        self.replication_wait_cancelled = False
        self.add_log_listener(self._read_warning)

    def _read_warning(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        # The text is in the server's language, and the SQLSTATE is that of any warning.
        if message.server_source_function == "SyncRepWaitForLSN":
            self.replication_wait_cancelled = True


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
    _keep_alive(connection.socket, url.parameters.keepalive, statement_seconds)
    encoding = getattr(connection.get_settings(), "server_encoding", _ENCODING)
    if encoding != _ENCODING:
        connection.terminate()
        raise asyncpg.ClientConfigurationError(
            f"the database has the encoding {encoding}, which cannot hold every text; create one"
            f" with ENCODING '{_ENCODING}' TEMPLATE template0"
        )
    return connection


def _keep_alive(connected: socket.socket, probes: Keepalive, statement_seconds: float) -> None:
    """Let the system close dead connections and keep NAT entries alive."""
    if connected.family not in {socket.AF_INET, socket.AF_INET6} or not probes.is_on:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": probes.idle,
        "TCP_KEEPALIVE": probes.idle,  # the same on macOS
        "TCP_KEEPINTVL": probes.interval,
        "TCP_KEEPCNT": probes.count,
    }
    # Not less than a statement's time: a server that is busy with one accepts no data.
    least = round((statement_seconds + NETWORK_SECONDS) * 1_000) if statement_seconds else 0
    if silence := probes.user_timeout or least:
        options["TCP_USER_TIMEOUT"] = silence
    for name, value in options.items():
        option = getattr(socket, name, None)  # Linux and macOS lack some of them
        if option is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)
