"""File descriptors: how many a server may use, and how many of them connections may take."""

import asyncio
import resource
from contextlib import suppress

from ordergate.entrypoints.server.http_protocol import BoundedHttpProtocol

MOST = 65_536
"""So many are asked for, if the system allows that."""

RESERVED = 64
"""So many, or half of all, are left to the database, the throttle, key files and modules."""


def raise_limit() -> None:
    """Raise this process's limit as far as it may without privileges; workers inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft not in (resource.RLIM_INFINITY, most) and soft < most:
        with suppress(OSError, ValueError):  # macOS may refuse
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def most_connections() -> int:
    """Return how many connections a worker may hold."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = MOST
    return max(soft - RESERVED, soft // 2)


class ReservingHttpProtocol(BoundedHttpProtocol):
    """Closes a connection that would take one of the last descriptors.

    Those who hold many connections then keep new clients out, and fail no request of others.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close the connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            self.transport.close()
