"""The metrics of all workers on a port of their own."""

import logging
import platform
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from socketserver import ThreadingTCPServer
from threading import Thread

from prometheus_client import CollectorRegistry, MetricsHandler
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from typing_extensions import override

from ordergate.adapters.metrics.worker_files import count_taken_places, hold_free_places

_PATH = "/metrics"

_log = logging.getLogger("ordergate.server")


@contextmanager
def serve_metrics(folder: Path, host: str, port: int, *, workers: int) -> Iterator[str]:
    """Serve the metrics in a folder on a thread; yield their URL.

    Raises `OSError` if the address cannot be used.
    """
    registry = CollectorRegistry()
    registry.register(Service(folder, workers))
    registry.register(_Workers(folder))
    server = _Server(host, port, registry)
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        address, bound = str(server.server_address[0]), server.server_address[1]
        yield f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(MetricsHandler):
    """Answers a GET of the metrics, without the name of its software."""

    timeout = 30
    error_message_format = "%(message)s\n"
    error_content_type = "text/plain; charset=utf-8"

    @override
    def do_GET(self) -> None:
        """Answer with the metrics, or that there is nothing else."""
        if self.path.partition("?")[0] == _PATH:
            super().do_GET()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    @override
    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin an answer; the header `Server` is left out."""
        self.send_response_only(code, message)
        self.send_header("Date", self.date_time_string())


class _Server(ThreadingTCPServer):
    """A server with a thread for each request."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        super().__init__((host, port), _Handler.factory(registry))

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Log an error, unless the client has disconnected."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            _log.exception("unexpected_error", extra={"part": "metrics"})


class Service:
    """What the workers do not know of: the version and their number."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._workers = workers
        self._build = {"version": version("ordergate"), "python": platform.python_version()}

    def collect(self) -> Iterator[Metric]:
        """Yield the version, and the numbers of workers."""
        yield InfoMetricFamily("ordergate_build", "The running version.", self._build)
        live = count_taken_places(self._folder)
        yield GaugeMetricFamily("ordergate_workers", "Workers that live.", live)
        yield GaugeMetricFamily(
            "ordergate_workers_configured", "Workers that should live.", self._workers
        )


class _Workers(MultiProcessCollector):
    """The values of all workers.

    States of workers that have ended are removed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(None, str(folder))
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Yield the sums, without the states of free places."""
        with hold_free_places(self._folder) as places:
            for place in places:
                mark_process_dead(place, str(self._folder))
        yield from super().collect()
