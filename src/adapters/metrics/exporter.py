"""The metrics of all workers on a port of their own."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from ordergate.adapters.metrics.worker_files import count_taken_places, hold_free_places


@contextmanager
def serve_metrics(folder: Path, host: str, port: int, *, workers: int) -> Iterator[str]:
    """Serve the metrics in a folder on a thread; yield their URL.

    Raises `OSError` if the address cannot be used.
    """
    registry = CollectorRegistry()
    registry.register(Service(folder, workers))
    registry.register(_Workers(folder))
    server, thread = start_http_server(port, host, registry)
    try:
        address, bound = str(server.server_address[0]), server.server_address[1]
        yield f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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
