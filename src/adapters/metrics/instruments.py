"""The metrics of a worker."""

from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Histogram, values

from ordergate.adapters.metrics.loads import Loads
from ordergate.adapters.metrics.tallied_histogram import TalliedHistogram
from ordergate.adapters.metrics.worker_files import take_place
from ordergate.application.ports.audit import AuditEvent
from ordergate.application.ports.rate_limits import RatePolicy

_REQUEST_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
"""The upper bounds of the buckets of requests."""
_HASHING_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(slots=True)
class _Tally:
    """Requests of one kind since the last time that they were published."""

    requests: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(_REQUEST_SECONDS) + 1))


class Instruments:
    """Counts what a worker does.

    Without a registry, the values are in the files of a server, where `serve_metrics` reads them.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.loads = Loads(registry)
        self._requests = Counter(
            "ordergate_http_requests",
            "HTTP requests that were answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._request_seconds = TalliedHistogram(
            "ordergate_http_request_duration_seconds",
            "Time from the head of a request to the end of its answer.",
            ["method", "route"],
            registry=registry,
            buckets=_REQUEST_SECONDS,
        )
        self._audit = Counter(
            "ordergate_audit_events",
            "Events of the audit log.",
            ["event"],
            registry=registry,
        )
        self._refused = Counter(
            "ordergate_hashing_refused",
            "Passwords that were not hashed, because too many waited.",
            ["reason"],
            registry=registry,
        )
        self._over_quota = Counter(
            "ordergate_rate_limit_refused",
            "Requests that were refused, because too many came from one address or user.",
            ["policy"],
            registry=registry,
        )
        self.hashing_seconds = Histogram(
            "ordergate_hashing_duration_seconds",
            "Time from a password to its result, with the time in the queue.",
            registry=registry,
            buckets=_HASHING_SECONDS,
        )
        self._tallies: dict[tuple[str, str, int], _Tally] = {}
        self._events = {event: self._audit.labels(event.value) for event in AuditEvent}
        self.over_quota = {policy: self._over_quota.labels(policy.value) for policy in RatePolicy}
        self.queue_full = self._refused.labels("queue_full")
        self.account_limit = self._refused.labels("account_limit")

    @classmethod
    def in_folder(cls, folder: Path) -> Self:
        """Keep the values in a place of the folder.

        Metrics that other code makes in this process from now on are kept there too.
        """
        place = take_place(folder)
        values.ValueClass = values.MultiProcessValue(lambda: place)
        return cls()

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request, for the next `publish_requests`."""
        key = method, route, status
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.requests += 1
        tally.seconds += seconds
        tally.buckets[bisect_left(_REQUEST_SECONDS, seconds)] += 1

    def publish_requests(self) -> None:
        """Add the counted requests to the metrics.

        A number in a file costs several times as much as one in memory. After an error, the
        requests of one kind are lost, and the others are published the next time.
        """
        while self._tallies:
            (method, route, status), tally = self._tallies.popitem()
            self._requests.labels(method, route, str(status)).inc(tally.requests)
            self._request_seconds.labels(method, route).add(tally.buckets, tally.seconds)

    def count_event(self, event: AuditEvent) -> None:
        """Count an event of the audit."""
        self._events[event].inc()
