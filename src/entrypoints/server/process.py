"""One serving process: its configuration, its signals and how it drains."""

import gc
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType

import uvicorn

from ordergate.entrypoints.config.logs import flush_log
from ordergate.entrypoints.http.service.health import DRAINING
from ordergate.entrypoints.server.connection_limits import ConnectionLimits, Connections
from ordergate.entrypoints.server.systemd import notify

_ALLOCATIONS_UNTIL_COLLECTED = 20_000
_TICKS_PER_SECOND = 10
_CLOSE = (b"connection", b"close")

_log = logging.getLogger("ordergate.server")


class ServerConfig(uvicorn.Config):
    """The configuration of each process."""

    drain_seconds: int = 0
    """How long the service goes on after SIGTERM."""

    limits = ConnectionLimits()

    def configure_logging(self) -> None:
        """Write a worker's last log lines before uvicorn's repeated SIGTERM ends it.

        `ordergate.entrypoints.asgi` configures the log itself.
        """
        super().configure_logging()
        if multiprocessing.parent_process() is not None:
            signal.signal(signal.SIGTERM, _flush_and_end)

    def load(self) -> None:
        """Load the application in its serving process.

        Existing objects are frozen, so full collections, which block requests, do not scan them.
        Collections are also rarer.
        """
        if multiprocessing.parent_process() is not None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # uvicorn handles it now
            _end_with_the_supervisor()
        super().load()
        gc.freeze()
        gc.set_threshold(_ALLOCATIONS_UNTIL_COLLECTED)


def _flush_and_end(number: int, _frame: FrameType | None) -> None:
    flush_log()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _end_with_the_supervisor() -> None:
    """Finish open requests and end, when the supervisor ends.

    A killed supervisor cannot end its workers. They would keep the port, and serve its settings
    beside a new server. The thread waits on a pipe whose other end the supervisor holds.
    """

    def wait() -> None:
        supervisor = multiprocessing.parent_process()
        if supervisor is not None:
            supervisor.join()
        _log.error("the supervisor has ended; this worker ends too")
        end_without_drain(os.getpid())

    Thread(target=wait, name="supervisor-watch", daemon=True).start()


def end_without_drain(worker: int) -> None:
    """Let a worker finish its open requests and end.

    SIGINT ends one that serves. It is blocked in one that starts, which SIGTERM ends.
    """
    os.kill(worker, signal.SIGINT)
    os.kill(worker, signal.SIGTERM)


class DrainingServer(uvicorn.Server):
    """Serves on for `drain_seconds` after SIGTERM, and reports to be unready.

    Load balancers notice that, and send requests elsewhere. Each answer closes its connection, so a
    proxy keeps none that it could use while the service ends. A second signal ends the wait. A
    worker takes every SIGTERM for the first one, because a service manager and the supervisor may
    both send it.
    """

    config: ServerConfig
    server_state: Connections
    _drains = False
    _drain_until: float | None = None

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config)
        self.server_state = Connections(config.limits)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End after SIGHUP too, unless it is ignored as by `nohup`."""
        with super().capture_signals():
            previous = signal.getsignal(signal.SIGHUP)
            if previous is not signal.SIG_IGN:
                signal.signal(signal.SIGHUP, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(signal.SIGHUP, previous)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, or end."""
        may_drain = sig == signal.SIGTERM and self.started and not self.should_exit
        if may_drain and self.config.drain_seconds and not self._drains:
            self._drains = True
            self.lifespan.state[DRAINING] = True
            self.config.encoded_headers.append(_CLOSE)
            self.server_state.default_headers.append(_CLOSE)
        elif not (may_drain and self._drains and multiprocessing.parent_process() is not None):
            super().handle_exit(sig, frame)

    async def main_loop(self) -> None:
        """Serve, and tell the service manager."""
        notify("READY=1")
        await super().main_loop()
        notify("STOPPING=1")

    async def on_tick(self, counter: int) -> bool:
        """Look for slow clients; report whether the time is over.

        A handler of signals must not log, so this method does.
        """
        if counter % _TICKS_PER_SECOND == 0:
            self.server_state.check_progress()
        if self._drains:
            if self._drain_until is None:
                self._drain_until = time.monotonic() + self.config.drain_seconds
                notify("STOPPING=1")
                _log.info("draining", extra={"seconds": self.config.drain_seconds})
            self.should_exit = self.should_exit or time.monotonic() >= self._drain_until
        return await super().on_tick(counter)
