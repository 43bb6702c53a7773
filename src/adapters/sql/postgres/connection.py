"""A connection to one host of PostgreSQL, and its checks."""

import asyncio
import errno
import getpass
import os
import socket
import time
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from ordergate.adapters.sql.postgres.errors import describe_driver_error
from ordergate.adapters.sql.postgres.password_file import (
    Login,
    PasswordFileIgnoredError,
    password_file,
    read_password,
)

NETWORK_SECONDS = 1.0
"""How much longer than the time limit of a statement an answer is awaited."""

_ENCODING = "UTF8"
_PORT = 5432
_KEEPALIVE_SECONDS = 15
_KEEPALIVE_PROBE_SECONDS = 5
_KEEPALIVE_PROBES = 3


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


async def connect(url: str, *, seconds: float, statement_seconds: float) -> PostgresConnection:
    """Connect to the only host of a URL within `seconds`.

    `statement_seconds` of 0 sets no limit. Raises OSError, `PostgresError` or
    `TargetServerAttributeNotMatched` for an unusable host, and `ClientConfigurationError` with a
    one-line message for any other mistake.
    """
    ignored = ""
    try:
        login = _login(url)
        _check_host(login.host)
        password, ignored = _password(url, login)
        options = " ".join(f"-c {name}={value}" for name, value in _options(statement_seconds))
        connection: PostgresConnection = await asyncpg.connect(
            url,
            host=login.host,
            port=login.port,
            user=login.user,
            password=password,
            timeout=seconds,
            command_timeout=statement_seconds + NETWORK_SECONDS if statement_seconds else None,
            server_settings={"application_name": "ordergate", "options": options},
            connection_class=PostgresConnection,
        )
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        if ignored:
            words = f"{error.args[0]} ({error.sqlstate}); {ignored}"
            raise asyncpg.ClientConfigurationError(words) from None
        raise
    except (OSError, asyncpg.PostgresError, asyncpg.TargetServerAttributeNotMatched):
        raise
    except Exception as error:  # noqa: BLE001 - it raises whatever it meets, KeyError and others
        raise asyncpg.ClientConfigurationError(describe_driver_error(error)) from None
    _keep_alive(connection.socket, statement_seconds)
    encoding = getattr(connection.get_settings(), "server_encoding", _ENCODING)
    if encoding != _ENCODING:
        connection.terminate()
        raise asyncpg.ClientConfigurationError(
            f"the database has the encoding {encoding}, which cannot hold every text; create one"
            f" with ENCODING '{_ENCODING}' TEMPLATE template0"
        )
    return connection


def _keep_alive(connected: socket.socket, statement_seconds: float) -> None:
    """Let the system close dead connections and keep NAT entries alive."""
    if connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": _KEEPALIVE_SECONDS,
        "TCP_KEEPALIVE": _KEEPALIVE_SECONDS,  # the same on macOS
        "TCP_KEEPINTVL": _KEEPALIVE_PROBE_SECONDS,
        "TCP_KEEPCNT": _KEEPALIVE_PROBES,
    }
    if statement_seconds:
        # Not less, because a server that is busy with a statement accepts no data.
        options["TCP_USER_TIMEOUT"] = round((statement_seconds + NETWORK_SECONDS) * 1_000)
    for name, value in options.items():
        option = getattr(socket, name, None)  # Linux and macOS lack some of them
        if option is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


def _options(statement_seconds: float) -> list[tuple[str, str]]:
    """Return the settings of a session.

    All queries use keys. The planner's other methods suit queries that read most of a table; with
    stale statistics, a page would read all orders of its owner.
    """
    ways = ("bitmapscan", "hashjoin", "mergejoin", "seqscan", "sort")
    return [
        ("client_min_messages", "warning"),  # a warning reports an unconfirmed COMMIT
        ("default_transaction_isolation", r"read\ committed"),
        ("idle_in_transaction_session_timeout", f"{statement_seconds * 1_000:.0f}"),
        ("lock_timeout", f"{statement_seconds * 500:.0f}"),
        ("statement_timeout", f"{statement_seconds * 1_000:.0f}"),
        *((f"enable_{way}", "off") for way in ways),
        # Queries that need a disabled method look expensive, and JIT takes 90 ms for each.
        ("jit", "off"),
    ]


def _login(url: str) -> Login:
    """Read host, port, database and user from the URL.

    PGPORT and similar variables are ignored.
    """
    parts = urlsplit(url)
    account, _, address = parts.netloc.rpartition("@")
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
    else:
        host, _, port = address.partition(":")
    return Login(
        host=unquote(host),
        port=int(port.removeprefix(":") or _PORT),
        database=unquote(parts.path[1:]),
        user=unquote(account.partition(":")[0]) or os.environ.get("PGUSER") or _system_user(),
    )


def _check_host(host: str) -> None:
    try:
        host.encode("idna")  # as the system's resolver is asked
    except UnicodeError:
        if not host.startswith("/"):
            raise OSError(errno.EINVAL, "a host's name in the URL is not valid") from None


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise asyncpg.ClientConfigurationError(
            "the URL names no user, and the user of this process has no name"
        ) from None


def _password(url: str, login: Login) -> tuple[str, str]:
    """Return the password, or why the password file was not used."""
    parts = urlsplit(url)
    written = unquote(parts.netloc.rpartition("@")[0].partition(":")[2])
    if password := written or os.environ.get("PGPASSWORD"):
        return password, ""
    named = parse_qs(parts.query).get("passfile", [None])[0]
    file = password_file(named)
    try:
        return (read_password(file, login) if file else ""), ""
    except PasswordFileIgnoredError as error:
        return "", f"the password file {file} was not used: {error}"
