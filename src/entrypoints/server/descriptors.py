"""File descriptors: the limit of a server, and the share of connections."""

import asyncio
import resource
from contextlib import suppress

from ordergate.entrypoints.server.http_protocol import BoundedHttpProtocol

MOST = 65_536
"""The requested limit, if the system allows it."""

RESERVED = 64
"""Descriptors for database, throttle, key files and modules; at most half of all."""


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


class ReservingHttpProtocol(BoundedHttpProtocol):
    """Closes connections that would use the last descriptors.

    Clients that hold many connections keep new clients out, but fail no open request.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close the connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > compute_most_connections():
            self.transport.close()
