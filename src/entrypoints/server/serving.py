"""Serving an application with uvicorn."""

import logging
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from threading import Event, Thread
from typing import Any

from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.config.logs import flush_log
from ordergate.entrypoints.server.connection_limits import (
    ConnectionLimits,
    LimitedHttpProtocol,
    raise_limit,
)
from ordergate.entrypoints.server.listening import BACKLOG, get_listening_url
from ordergate.entrypoints.server.process import DrainingServer, ServerConfig
from ordergate.entrypoints.server.signals import Terminated
from ordergate.entrypoints.server.supervisor import Supervisor

FINISH_SECONDS = 10
"""The time limit for open requests, after a drain."""

_log = logging.getLogger("ordergate.server")


def serve(
    app: Callable[..., Any] | str,
    listening: socket.socket,
    *,
    database: str,
    workers: int = 1,
    root_path: str = "",
    drain_seconds: int = 0,
    limits: ConnectionLimits | None = None,
    make_tls: Callable[[], ssl.SSLContext] | None = None,
) -> bool:
    """Serve until SIGINT or SIGTERM, then finish open requests within 10 s.

    After SIGTERM, it serves on for `drain_seconds` first, unless a second signal comes. SIGHUP ends
    one process like SIGINT; it replaces several workers one by one. `app` is an ASGI application or
    the name of its factory, as `module:function`; several workers need a name. `database` names the
    database for the log. `root_path` is the prefix that a proxy removes. Each process calls
    `make_tls`, so that a replaced worker reads a renewed certificate.
    Returns False when the application could not start.
    """
    raise_limit()
    config = ServerConfig(
        app,
        factory=isinstance(app, str),
        workers=workers,
        root_path=root_path,
        backlog=BACKLOG,
        http=LimitedHttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=FINISH_SECONDS,
        ssl_context_factory=_ContextFactory(make_tls) if make_tls else None,
    )
    config.drain_seconds = drain_seconds
    config.limits = limits or ConnectionLimits()
    url = get_listening_url(listening, scheme="https" if make_tls else "http")
    _log.info("listening", extra={"url": url, "workers": workers, "database": database})
    # The socket itself, not its number: uvicorn takes a number for a Unix socket, leaves Nagle's
    # algorithm on, and every answer on a kept connection comes 40 ms late.
    # uvicorn raises the signal again after it has drained.
    try:
        with suppress(KeyboardInterrupt, Terminated):
            if workers > 1:
                return _supervise(Supervisor(config, sockets=[listening]))
            server = DrainingServer(config)
            server.run(sockets=[listening])
            return server.started
    finally:
        flush_log()
    return True


@dataclass(frozen=True, slots=True)
class _ContextFactory:
    """Makes the TLS context of a process; a mistake ends it."""

    make: Callable[[], ssl.SSLContext]

    def __call__(self, _config: object, _default: object) -> ssl.SSLContext:
        try:
            return self.make()
        except SettingsError as error:
            raise SystemExit("ordergate: " + "; ".join(error.problems)) from None


def _supervise(supervisor: Supervisor) -> bool:
    """Run the workers; a terminal signals their whole process group.

    Workers inherit a mask that blocks both signals. Otherwise a starting worker would end with a
    traceback and be restarted. The supervisor ends or replaces them.
    """
    # Another thread receives what the main thread blocks; the handlers run in the main thread.
    Thread(target=Event().wait, name="signal-receiver", daemon=True).start()
    resource_tracker.ensure_running()  # its start unblocks SIGINT, so it is first
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    supervisor.run()
    return not supervisor.has_failed
