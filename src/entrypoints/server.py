"""Listening on an address, and serving an application there with uvicorn."""

import gc
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from entrypoints.http.protocol import BoundedHttpProtocol

_BACKLOG = 2048
_DRAIN_SECONDS = 10
_ALLOCATIONS_UNTIL_COLLECTED = 20_000

_log = logging.getLogger("ordergate.server")


class CannotListen(Exception):
    """The address is taken, not of this machine, or not to be had; the message says which."""


def listen(host: str, port: int) -> socket.socket:
    """Bind a TCP socket and let connections queue on it; port 0 lets the system choose.

    It comes first, so that a taken port is known before anything starts. Raises `CannotListen`.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "that is not an address"
        raise CannotListen(
            f"cannot listen on {host} port {port}: {reason}; choose another"
        ) from None
    return listening


def url_of(listening: socket.socket) -> str:
    """Return the address that a browser on this machine finds the socket at."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Config(uvicorn.Config):
    def load(self) -> None:
        """Load the application, in the process that serves it.

        What is there then stays, so the garbage collector need not walk all of it again and again,
        which would hold up every request; and it looks less often for what requests leave behind.
        """
        super().load()
        gc.freeze()
        gc.set_threshold(_ALLOCATIONS_UNTIL_COLLECTED)


def serve(
    app: Callable[..., Any] | str, listening: socket.socket, *, database: str, workers: int = 1
) -> bool:
    """Serve until SIGINT or SIGTERM, then finish what is under way within 10 s.

    `app` is an ASGI application or, as `module:function`, the name of what makes one; only a name
    can be served by several workers. `database` names the database for the log. Returns False when
    the application could not start.
    """
    config = _Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
        backlog=_BACKLOG,
        http=BoundedHttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    _log.info(
        "listening", extra={"url": url_of(listening), "workers": workers, "database": database}
    )
    # The socket itself, not its number: uvicorn takes a number for a Unix socket, leaves Nagle's
    # algorithm on, and every answer on a kept connection comes 40 ms late.
    with suppress(KeyboardInterrupt):
        if workers > 1:
            supervisor = Multiprocess(config, sockets=[listening])
            supervisor.run()
            return all(worker.exitcode != STARTUP_FAILURE for worker in supervisor.processes)
        server = uvicorn.Server(config)
        server.run(sockets=[listening])
        return server.started
    return True
