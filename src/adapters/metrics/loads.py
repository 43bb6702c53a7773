"""Metrics of what adapters state of themselves."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from ordergate.adapters.metrics.tallied_histogram import TalliedHistogram
from ordergate.application.ports.passwords import HashingLoad
from ordergate.application.ports.storage import ConnectionLoad, GroupCommits, ServerWork
from ordergate.application.ports.tokens import IssuerKeys

_Mode = Literal["livesum", "livemax"]

_WRITES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""The upper bounds of the buckets of writes in a commit."""


class _FollowingCounter(Counter):
    """A counter that follows a total of this process.

    After an error, the difference is lost.
    """

    _seen = 0

    def follow(self, total: int) -> None:
        """Add what the total has grown by."""
        grown, self._seen = total - self._seen, total
        if grown > 0:
            self.inc(grown)


class Loads:
    """What the adapters of a worker state, once a second.

    A metric exists from its first value on, because 0 would be false for an adapter without it.
    """

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._registry = registry
        self._gauges: dict[str, Gauge] = {}
        self._work: list[_FollowingCounter] = []
        self._commits: TalliedHistogram | None = None
        self._sizes: Sequence[int] = ()

    def set_hashing(self, load: HashingLoad) -> None:
        """State the load of the hashing threads."""
        self._set_sums(
            {
                "ordergate_hashing_threads": "Hashing threads.",
                "ordergate_hashing_threads_busy": "Hashing threads at work.",
                "ordergate_hashing_queue_limit": "Passwords that may wait for a thread.",
                "ordergate_hashing_queue_waiting": "Passwords that wait for a thread.",
            },
            load,
        )

    def set_connections(self, load: ConnectionLoad) -> None:
        """State the load of the connections to a database server."""
        self._set_sums(
            {
                "ordergate_database_connections_limit": "Connections that may be open.",
                "ordergate_database_connections_in_use": "Connections in use.",
                "ordergate_database_waiting": "Jobs that wait for a connection.",
                "ordergate_database_writes_waiting": "Writes that wait for other writes.",
            },
            load,
        )

    def set_work(self, work: ServerWork) -> None:
        """Count what a database server was sent."""
        if not self._work:
            described = {
                "ordergate_database_round_trips": "Statements, BEGIN and COMMIT that were sent.",
                "ordergate_database_repetitions": "Reads and writes that ran again.",
            }
            self._work = [
                _FollowingCounter(name, text, registry=self._registry)
                for name, text in described.items()
            ]
        for counter, total in zip(self._work, work, strict=True):
            counter.follow(total)

    def set_commits(self, commits: GroupCommits) -> None:
        """Count group commits by their sizes, and state the waiting writes."""
        if self._commits is None:
            self._commits = TalliedHistogram(
                "ordergate_database_group_commit_writes",
                "Writes in a commit.",
                registry=self._registry,
                buckets=_WRITES,
            )
        seen, self._sizes = self._sizes, commits.sizes
        buckets, total = [0] * (len(_WRITES) + 1), 0
        for size, (now, before) in enumerate(zip_longest(self._sizes, seen, fillvalue=0)):
            if now > before:
                buckets[bisect_left(_WRITES, size)] += now - before
                total += size * (now - before)
        if total:
            self._commits.add(buckets, total)
        waiting = {"ordergate_database_group_commit_waiting": "Writes that wait for a commit."}
        self._set_sums(waiting, [commits.waiting])

    def set_session_cache(self, age: float) -> None:
        """State the age of the ended sessions that are known."""
        name = "ordergate_session_cache_age_seconds"
        self._get_gauge(name, "Age of the ended sessions that a worker knows.", "livemax").set(age)

    def set_issuer_keys(self, fetched: Mapping[str, IssuerKeys]) -> None:
        """State the age of the keys of issuers, and failing fetches."""
        age, failing = "ordergate_issuer_keys_age_seconds", "ordergate_issuer_keys_failing"
        for issuer, keys in fetched.items():
            if keys.age is not None:
                gauge = self._get_gauge(age, "Age of an issuer's keys.", "livemax", "issuer")
                gauge.labels(issuer).set(keys.age)
            text = "Workers whose last fetch of an issuer's keys failed."
            self._get_gauge(failing, text, "livesum", "issuer").labels(issuer).set(keys.failing)

    def _set_sums(self, described: dict[str, str], values: Iterable[int]) -> None:
        """Set gauges whose values of all workers are added up."""
        for (name, text), value in zip(described.items(), values, strict=True):
            self._get_gauge(name, text, "livesum").set(value)

    def _get_gauge(self, name: str, text: str, mode: _Mode, *labels: str) -> Gauge:
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(
                name, text, labels, registry=self._registry, multiprocess_mode=mode
            )
        return gauge
