"""A connection to one host of MariaDB or MySQL, and its settings."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from asyncmy.connection import Connection
from asyncmy.constants.CLIENT import FOUND_ROWS, MULTI_STATEMENTS, SSL
from asyncmy.cursors import Cursor
from asyncmy.errors import DataError, MySQLError, OperationalError

from ordergate.adapters.sql.database import Rows
from ordergate.adapters.sql.mysql.cluster import join_cluster
from ordergate.adapters.sql.mysql.errors import CLEAR_PASSWORD, NOT_UNICODE, TLS_FAILED
from ordergate.adapters.sql.mysql.session import check_version, find_product, session_settings
from ordergate.adapters.sql.mysql.tls import Tls, read_tls
from ordergate.adapters.sql.mysql.url import DEFAULT_PORT
from ordergate.adapters.sql.server.connection import NETWORK_SECONDS, Keepalive, keep_alive
from ordergate.adapters.sql.statement_spans import Server

UNUSABLE = (OSError, MySQLError)
"""Errors of a host that cannot be used; another may be."""

_GOODBYE_SECONDS = 1.0
_IN_CLEAR = frozenset({b"mysql_clear_password", b"dialog", b"mysql_old_password"})
"""Methods by which a server could ask for the password itself."""


class _TimedCursor(Cursor):
    """A cursor whose statements are given up after the connection's time."""

    async def execute(self, query: str, args: Any = None) -> Any:
        """Execute a statement within the time."""
        async with asyncio.timeout(self.connection.seconds):
            return await super().execute(query, args)

    async def executemany(self, query: str, args: Any) -> Any:
        """Execute a statement with each of the values within the time."""
        async with asyncio.timeout(self.connection.seconds):
            return await super().executemany(query, args)

    async def _show_warnings(self, conn: Any) -> None:
        """Fetch no warnings, which the driver would log."""


class MysqlConnection(Connection):
    """A connection of the driver, as `ServerConnection` describes.

    `seconds` is the time limit of an answer, `None` without one. The driver's own limit would
    apply to each packet.
    """

    def __init__(self, *, seconds: float | None, tls: Tls, **options: Any) -> None:
        self._ssl_context: ssl.SSLContext | None
        super().__init__(cursor_cls=_TimedCursor, ssl=tls.context, **options)
        self._client_flag &= ~MULTI_STATEMENTS  # the driver permits them, and so injected ones
        self.seconds = seconds
        self.opened_at = time.monotonic()
        self.idle_since: float | None = None
        self.committing = False
        self.in_cluster = False
        self.unconfirmed: str | None = None
        self._tls_required = tls.required
        self.server = Server("mysql")

    def get_socket(self) -> socket.socket:
        """Return the socket of an open connection."""
        connected: socket.socket = self._transport.get_extra_info("socket")
        return connected

    def is_closed(self) -> bool:
        """Report whether the connection is closed."""
        return not self.connected or self._stream_broken

    def terminate(self) -> None:
        """Close the connection without a word to the server."""
        self.close()

    async def disconnect(self) -> None:
        """End the session within a second."""
        with suppress(OSError, MySQLError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self.ensure_closed()
        self.close()

    async def run(self, sql: str, values: Sequence[Any]) -> Rows:
        """Run a statement within the time; return its first rows."""
        async with asyncio.timeout(self.seconds), self.cursor() as cursor:
            await cursor.execute(sql, values)
            rows: Rows = await cursor.fetchall()
            while await cursor.nextset():  # the next may be an error
                pass
            return rows

    async def commit(self) -> None:
        """Commit within the time."""
        async with asyncio.timeout(self.seconds):
            await super().commit()

    async def rollback(self) -> None:
        """Roll back within the time."""
        async with asyncio.timeout(self.seconds):
            await super().rollback()

    def literal(self, obj: object) -> str:
        """Write a value; refuse text that is not Unicode."""
        if isinstance(obj, str):
            try:
                obj.encode()
            except UnicodeEncodeError:
                raise DataError(NOT_UNICODE, "text that is not Unicode") from None
        written: str = super().literal(obj)
        return written

    async def _request_authentication(self) -> Any:
        if self._ssl_context and not self.server_capabilities & SSL:
            if self._tls_required:
                words = "the server does not support TLS, which ssl-mode requires"
                needed = "enable TLS on the server, or change ssl-mode"
                raise OperationalError(TLS_FAILED, f"{words}; {needed}")
            self._ssl_context = None
            self._client_flag &= ~SSL
        return await super()._request_authentication()

    def _get_auth_plugin_handler(self, plugin_name: bytes) -> Any:
        if plugin_name in _IN_CLEAR and not self._secure:
            words = "the server asked for the password in clear, which needs TLS"
            raise OperationalError(CLEAR_PASSWORD, words)
        return super()._get_auth_plugin_handler(plugin_name)


async def connect(url: str, *, seconds: float, statement_seconds: float) -> MysqlConnection:
    """Connect to the only host of a URL within `seconds`.

    `statement_seconds` of 0 sets no limit. Raises OSError or `MySQLError` for an unusable host, and
    `UnusableServerError` for one that is too old.
    """
    login = _read_login(url)
    connection = MysqlConnection(
        **login,
        seconds=statement_seconds + NETWORK_SECONDS if statement_seconds else None,
        tls=read_tls(url),
        charset="utf8mb4",
        client_flag=FOUND_ROWS,  # an UPDATE counts the rows that it found
        autocommit=None,
        program_name="ordergate",
        connect_timeout=seconds,
    )
    try:
        async with asyncio.timeout(seconds):
            await connection.connect()
            version = connection.get_server_info()
            check_version(version)
            address = login.get("host") or login["unix_socket"]
            connection.server = Server(find_product(version), address, login.get("port"))
            await connection.query(session_settings(version, statement_seconds))
            connection.in_cluster = await join_cluster(connection)
        keep_alive(connection.get_socket(), Keepalive(), statement_seconds)
    except BaseException as error:
        connection.close()
        if isinstance(error, MySQLError) and isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise
    return connection


def _read_login(url: str) -> dict[str, Any]:
    """Read host, port, database, user and password from the URL, or MYSQL_PWD."""
    parts = urlsplit(url)
    account, _, address = parts.netloc.rpartition("@")
    user, _, password = map(unquote, account.partition(":"))
    login: dict[str, Any] = {
        "user": user or os.environ.get("USER") or "root",
        "password": (password or os.environ.get("MYSQL_PWD", "")).encode(),
        "database": unquote(parts.path[1:]),
    }
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
    else:
        host, _, port = address.partition(":")
    if (folder := unquote(host)).startswith("/"):
        return login | {"unix_socket": folder}
    return login | {"host": folder, "port": int(port.removeprefix(":") or DEFAULT_PORT)}
