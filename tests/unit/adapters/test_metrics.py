"""What is counted around an audit and a hasher."""

import asyncio
import errno

import pytest
from prometheus_client import CollectorRegistry

from ordergate.adapters.memory import InMemoryStorage
from ordergate.adapters.metrics.instruments import Instruments
from ordergate.adapters.metrics.measured_audit import MeasuredAudit
from ordergate.adapters.metrics.measured_hasher import MeasuredHasher
from ordergate.adapters.metrics.publisher import Publisher
from ordergate.application.errors import ApplicationError, Overloaded, Throttled
from ordergate.application.ports.audit import AuditEvent, AuditRecord, Origin
from ordergate.application.ports.passwords import (
    HasherInspector,
    HashingLoad,
    PasswordHasher,
    Requester,
    Verification,
)
from ordergate.application.ports.storage import (
    ConnectionLoad,
    GroupCommits,
    PoolInspector,
    ServerWork,
)
from ordergate.application.ports.tokens import IssuerKeys
from ordergate.domain.signing_keys import KeyId, KeyRecord, KeyStatus
from ordergate.domain.user import Password, PasswordHash, UserId
from tests.contracts.passwords_contract import PasswordHasherContract
from tests.support.doubles import InstantPasswordHasher, RecordedAudit

KEY = KeyRecord(KeyId("the-kid"), "ES256", KeyStatus.REMOVED, None)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def instruments(registry: CollectorRegistry) -> Instruments:
    return Instruments(registry)


def read(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"ordergate_{name}", labels)


class RefusingHasher(InstantPasswordHasher):
    def __init__(self, error: ApplicationError) -> None:
        super().__init__()
        self.error = error

    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        raise self.error


class TestMeasuredHasher(PasswordHasherContract):
    @pytest.fixture
    def hasher(self, instruments: Instruments) -> PasswordHasher:
        return MeasuredHasher(InstantPasswordHasher(), instruments)

    @pytest.fixture
    def outdated(self) -> PasswordHash:
        return PasswordHash("1$salt$old password")

    def work(self, hasher: PasswordHasher) -> float:
        assert isinstance(hasher, MeasuredHasher)
        assert isinstance(hasher.hasher, InstantPasswordHasher)
        return len(hasher.hasher.verified)


async def test_hashed_passwords_are_timed(
    instruments: Instruments, registry: CollectorRegistry
) -> None:
    hasher = MeasuredHasher(InstantPasswordHasher(), instruments)
    await hasher.verify(Password("guess"), await hasher.hash(Password("secret words")))
    assert read(registry, "hashing_duration_seconds_count") == 2
    assert read(registry, "hashing_refused_total", reason="queue_full") == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Overloaded(retry_after=1), "queue_full"), (Throttled(retry_after=1), "account_limit")],
    ids=["queue_full", "account_limit"],
)
async def test_refused_password_is_counted_by_its_reason_and_not_timed(
    instruments: Instruments, registry: CollectorRegistry, error: ApplicationError, reason: str
) -> None:
    hasher = MeasuredHasher(RefusingHasher(error), instruments)
    with pytest.raises(type(error)):
        await hasher.verify(Password("guess"), None)
    refused = {
        each: read(registry, "hashing_refused_total", reason=each)
        for each in ("queue_full", "account_limit")
    }
    assert refused == {"queue_full": 0, "account_limit": 0, reason: 1}
    assert read(registry, "hashing_duration_seconds_count") == 0


def test_audit_events_are_counted_and_recorded(
    instruments: Instruments, registry: CollectorRegistry
) -> None:
    recorded = RecordedAudit()
    audit = MeasuredAudit(recorded, instruments)
    origin = Origin("192.0.2.1", "the-id")
    audit.write(AuditRecord(AuditEvent.SIGNED_IN, origin, UserId(7)))
    audit.record(AuditEvent.SIGN_IN_REFUSED, origin=origin)
    audit.record_key(KEY)
    assert [event for event, *_ in recorded.events] == ["signed_in", "sign_in_refused"]
    assert recorded.keys == [KEY]
    counted = {
        event.value: read(registry, "audit_events_total", event=event.value) for event in AuditEvent
    }
    seen = {"signed_in": 1, "sign_in_refused": 1, "key_rotated": 1}
    assert counted == {event.value: seen.get(event.value, 0) for event in AuditEvent}


def test_request_is_counted_by_its_status_and_timed(
    instruments: Instruments, registry: CollectorRegistry
) -> None:
    for status, seconds in ((200, 0.0004), (200, 0.02), (404, 0.001)):
        instruments.count_request("GET", "/orders/{id}", status, seconds)
    instruments.publish_requests()
    instruments.count_request("GET", "/orders/{id}", 200, 99)
    request = {"method": "GET", "route": "/orders/{id}"}
    assert read(registry, "http_requests_total", **request, status="200") == 2
    assert read(registry, "http_requests_total", **request, status="404") == 1
    assert read(registry, "http_request_duration_seconds_count", **request) == 3
    assert read(registry, "http_request_duration_seconds_bucket", **request, le="0.001") == 2
    assert read(registry, "http_request_duration_seconds_sum", **request) == pytest.approx(0.0214)
    instruments.publish_requests()
    instruments.publish_requests()
    assert read(registry, "http_requests_total", **request, status="200") == 3
    assert read(registry, "http_request_duration_seconds_count", **request) == 4
    assert read(registry, "http_request_duration_seconds_bucket", **request, le="30.0") == 3


def test_loads_are_gauges(instruments: Instruments, registry: CollectorRegistry) -> None:
    for name in ("hashing_threads", "hashing_queue_waiting", "database_waiting"):
        assert read(registry, name) is None  # 0 would be false for adapters that state no load
    instruments.loads.set_hashing(HashingLoad(threads=2, busy=1, queue=64, waiting=3))
    instruments.loads.set_connections(
        ConnectionLoad(limit=10, in_use=4, waiting=5, writes_waiting=6)
    )
    names = ("hashing_threads", "hashing_threads_busy", "hashing_queue_limit")
    assert [read(registry, name) for name in names] == [2, 1, 64]
    assert read(registry, "hashing_queue_waiting") == 3
    assert read(registry, "database_connections_limit") == 10
    assert read(registry, "database_connections_in_use") == 4
    assert read(registry, "database_waiting") == 5
    assert read(registry, "database_writes_waiting") == 6


def test_work_on_a_server_is_counted_by_its_growth(
    instruments: Instruments, registry: CollectorRegistry
) -> None:
    for work in ((0, 0), (7, 1), (7, 1), (9, 1)):
        instruments.loads.set_work(ServerWork(*work))
    assert read(registry, "database_round_trips_total") == 9
    assert read(registry, "database_repetitions_total") == 1
    instruments.loads.set_work(ServerWork(2, 0))  # a storage that was made again
    instruments.loads.set_work(ServerWork(5, 0))
    assert read(registry, "database_round_trips_total") == 12


def test_group_commits_are_a_histogram_of_their_writes(
    instruments: Instruments, registry: CollectorRegistry
) -> None:
    name = "database_group_commit_writes"
    sizes = [0] * 257
    instruments.loads.set_commits(GroupCommits((), 0))
    assert read(registry, f"{name}_count") == 0
    sizes[1], sizes[3] = 5, 1
    for waiting in (2, 0):
        instruments.loads.set_commits(GroupCommits(tuple(sizes), waiting))
    sizes[3], sizes[256] = 2, 1
    instruments.loads.set_commits(GroupCommits(tuple(sizes), 4))
    bounds = (1, 2, 4, 128, 256)
    buckets = [read(registry, f"{name}_bucket", le=f"{bound}.0") for bound in bounds]
    assert buckets == [5, 5, 7, 7, 8]
    assert read(registry, f"{name}_count") == 8
    assert read(registry, f"{name}_sum") == 5 + 2 * 3 + 256
    assert read(registry, "database_group_commit_waiting") == 4


def test_ages_are_gauges(instruments: Instruments, registry: CollectorRegistry) -> None:
    instruments.loads.set_session_cache(7.5)
    assert read(registry, "session_cache_age_seconds") == 7.5
    one, other = "https://one.example", "https://other.example"
    instruments.loads.set_issuer_keys({one: IssuerKeys(3, False), other: IssuerKeys(None, True)})
    assert read(registry, "issuer_keys_age_seconds", issuer=one) == 3
    assert read(registry, "issuer_keys_age_seconds", issuer=other) is None
    assert read(registry, "issuer_keys_failing", issuer=one) == 0
    assert read(registry, "issuer_keys_failing", issuer=other) == 1


class UnwritableRoute(str):
    """A route whose metrics cannot be written."""

    __slots__ = ()

    def __str__(self) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_request_is_counted_once_when_another_cannot_be_written(
    instruments: Instruments, registry: CollectorRegistry
) -> None:
    for route in ("/first", UnwritableRoute("/second"), "/third"):
        instruments.count_request("GET", route, 200, 0.1)
    with pytest.raises(OSError, match="No space"):
        instruments.publish_requests()
    instruments.publish_requests()
    for route in ("/first", "/third"):
        assert read(registry, "http_requests_total", method="GET", route=route, status="200") == 1


class LoadedHasher(InstantPasswordHasher, HasherInspector):
    def __init__(self) -> None:
        super().__init__()
        self.load: HashingLoad | None = None

    def count_jobs(self) -> HashingLoad:
        if self.load is None:
            raise RuntimeError("it is starting")
        return self.load


class PooledStorage(InMemoryStorage, PoolInspector):
    def __init__(self, load: ConnectionLoad | None) -> None:
        super().__init__()
        self.load = load

    def count_connections(self) -> ConnectionLoad | None:
        return self.load


async def test_adapters_of_others_are_published_if_they_state_their_load(
    instruments: Instruments, registry: CollectorRegistry
) -> None:
    Publisher(instruments, None, PooledStorage(None)).publish()
    async with Publisher(instruments, InstantPasswordHasher(), InMemoryStorage()).run():
        await asyncio.sleep(0)
    assert read(registry, "hashing_threads") is None
    assert read(registry, "database_connections_limit") is None
    hasher, storage = LoadedHasher(), PooledStorage(ConnectionLoad(9, 1, 0, 0))
    hasher.load = HashingLoad(threads=5, busy=0, queue=1, waiting=0)
    Publisher(instruments, hasher, storage).publish()
    assert read(registry, "hashing_threads") == 5
    assert read(registry, "database_connections_limit") == 9


async def test_error_of_a_part_is_logged_once_and_stops_no_other(
    instruments: Instruments, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    hasher = LoadedHasher()
    publisher = Publisher(instruments, hasher, PooledStorage(ConnectionLoad(9, 1, 0, 0)))
    for _ in range(2):
        publisher.publish()
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["part"]) == ("metrics_not_published", "hashing")
    assert record.exc_info is not None
    assert read(registry, "database_connections_limit") == 9
    hasher.load = HashingLoad(threads=5, busy=0, queue=1, waiting=0)
    publisher.publish()
    assert read(registry, "hashing_threads") == 5
    hasher.load = None
    async with publisher.run():
        instruments.count_request("GET", "/", 200, 0.1)  # published at the end
    assert len(caplog.records) == 2
    assert read(registry, "http_requests_total", method="GET", route="/", status="200") == 1
