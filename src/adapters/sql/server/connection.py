"""A driver's connection, as pool and transactions use it."""

import socket
from dataclasses import dataclass
from typing import Protocol

from ordergate.adapters.sql.statement_spans import Server

NETWORK_SECONDS = 1.0
"""How much longer than the time limit of a statement an answer is awaited."""


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Probes of an idle connection.

    `idle` and `interval` are the seconds before the first probe and between two. `user_timeout` is
    the milliseconds that sent data may be unanswered; `None` follows from the limit of a statement.
    """

    is_on: bool = True
    idle: int = 15
    interval: int = 5
    count: int = 3
    user_timeout: int | None = None


class ServerConnection(Protocol):
    """A connection of a driver with the state for pool and transactions.

    `opened_at` and `idle_since` are seconds of `time.monotonic`; a connection that was never
    returned to the pool has no `idle_since`. `committing`: COMMIT was sent and not answered.
    `unconfirmed`: why a COMMIT that the server reported as a success may still be lost. `server` is
    the database in spans.
    """

    opened_at: float
    idle_since: float | None
    committing: bool
    unconfirmed: str | None

    @property
    def server(self) -> Server:
        """The host that it is connected to."""

    def is_closed(self) -> bool:
        """Report whether the connection is closed."""

    def terminate(self) -> None:
        """Close the connection without a word to the server."""

    async def disconnect(self) -> None:
        """Cancel the statement in progress, and end the session, within a second."""


def keep_alive(connected: socket.socket, probes: Keepalive, statement_seconds: float) -> None:
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
