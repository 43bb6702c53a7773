"""Limits of a process's connections, of its descriptors and of slow clients."""

import asyncio
import logging
import resource
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_network

from uvicorn.server import ServerState

from ordergate.domain.address import find_client_network, read_address
from ordergate.entrypoints.http.problems.catalog import BODY_TOO_SLOW
from ordergate.entrypoints.server.http_protocol import HEAD_SECONDS, BoundedHttpProtocol

MOST = 65_536
"""The requested limit, if the system allows it."""

RESERVED = 64
"""Descriptors for database, throttle, key files and modules; at most half of all."""

_REPORT_SECONDS = 60.0
"""The pause between two reports, because a flood of connections would fill the log."""

_log = logging.getLogger("ordergate.server")


def raise_limit() -> None:
    """Raise this process's limit to the unprivileged maximum, for workers too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft not in (resource.RLIM_INFINITY, most) and soft < most:
        with suppress(OSError, ValueError):  # macOS may refuse
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def compute_most_connections() -> int:
    """Return the maximum of connections of a worker."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = MOST
    return max(soft - RESERVED, soft // 2)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What the connections of a process may take."""

    head_seconds: int = HEAD_SECONDS
    body_seconds: int = 60
    answer_seconds: int = 60
    connections: int = 10_000
    connections_per_address: int = 1_000
    unlimited_networks: tuple[str, ...] = ()
    """The proxies, which have the connections of many clients."""


class Connections(ServerState):
    """The state of a server, with its connections by network."""

    def __init__(self, limits: ConnectionLimits) -> None:
        super().__init__()
        self.limits = limits
        self._most = min(limits.connections, compute_most_connections())
        self._unlimited = [ip_network(each) for each in limits.unlimited_networks]
        self._by_network: Counter[str] = Counter()
        self._reported_at = -_REPORT_SECONDS
        self._find_network = lru_cache(maxsize=4096)(self._compute_network)

    def add(self, address: str) -> str | None:
        """Count a connection; return its network if it counts."""
        network = self._find_network(address)
        if network is not None:
            self._by_network[network] += 1
        return network

    def remove(self, network: str) -> None:
        """Remove a connection from the count."""
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]

    def is_full(self, network: str | None) -> bool:
        """Report whether a counted connection is one too many, and log it."""
        of_network = self._by_network[network] if network is not None else 0
        if (
            len(self.connections) <= self._most
            and of_network <= self.limits.connections_per_address
        ):
            return False
        now = time.monotonic()
        if now - self._reported_at >= _REPORT_SECONDS:
            self._reported_at = now
            counts = {"connections": len(self.connections), "of_this_address": of_network}
            _log.warning("connections_refused", extra={"address": network, **counts})
        return True

    def check_progress(self) -> None:
        """End the connections of slow clients."""
        now = time.monotonic()
        for connection in list(self.connections):
            if isinstance(connection, LimitedHttpProtocol):
                connection.check_progress(now)

    def _compute_network(self, address: str) -> str | None:
        ip = read_address(address)
        if ip is None or any(ip in network for network in self._unlimited):
            return None  # a client of a Unix socket, or a proxy
        return find_client_network(address)


@dataclass(slots=True)
class _Wait:
    """What a connection waits for, and since when."""

    subject: object = None
    since: float = field(default_factory=time.monotonic)

    def measure(self, subject: object, now: float) -> float:
        """Return the seconds for which the subject is the same."""
        if subject != self.subject:
            self.subject, self.since = subject, now
        return now - self.since


class LimitedHttpProtocol(BoundedHttpProtocol):
    """A connection of a limited number, with an end for slow clients.

    Clients that hold many connections keep new clients out, but fail no open request. The last
    descriptors remain free. The server calls `check_progress` once a second, so requests need no
    timers for their bodies and answers.
    """

    server_state: Connections
    _network: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close the connection if there are too many."""
        self.head_seconds = self.server_state.limits.head_seconds
        self._body, self._answer = _Wait(), _Wait()
        super().connection_made(transport)
        self._network = self.server_state.add(self.client[0] if self.client else "")
        if self.server_state.is_full(self._network):
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the count."""
        super().connection_lost(exc)
        if self._network is not None:
            self.server_state.remove(self._network)
            self._network = None

    def check_progress(self, now: float) -> None:
        """Refuse a slow body; drop a client that takes no answer.

        The time for a body begins again when this side has not read it for a while. The time for an
        answer begins again whenever the client takes a part.
        """
        limits = self.server_state.limits
        reads_body = self._in_body and not self.flow.read_paused and not self._refusal
        body = self._body.measure(self.cycle if reads_body else None, now)
        if reads_body and body >= limits.body_seconds:
            self._refuse(BODY_TOO_SLOW)
        unsent = self._coalescing.count_unsent()
        if self._answer.measure(unsent, now) >= limits.answer_seconds and unsent:
            self._coalescing.abort()
