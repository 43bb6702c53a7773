"""The doctor: checks that raise, and what each check judges."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dependency_injector.providers import Object

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import SigningKeyError, StorageUnavailable
from ordergate.application.ports.storage import Storage, StorageFacts, StorageInspector
from ordergate.domain.signing_keys import KeyId, KeyRecord, KeyStatus
from ordergate.entrypoints.config.loading import ReadSettings, SettingsError, make_settings
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.checks import passwords
from ordergate.entrypoints.diagnosis.checks.database import check_database, check_separate_orders
from ordergate.entrypoints.diagnosis.checks.issuer import check_issuer
from ordergate.entrypoints.diagnosis.checks.keys import MAX_AGE, check_keys
from ordergate.entrypoints.diagnosis.checks.listening import check_listening
from ordergate.entrypoints.diagnosis.checks.passwords import check_passwords
from ordergate.entrypoints.diagnosis.checks.proxies import check_proxies
from ordergate.entrypoints.diagnosis.checks.throttle import check_throttle
from ordergate.entrypoints.diagnosis.doctor import Check, diagnose, run_checks
from ordergate.entrypoints.diagnosis.finding import Finding, Status, report_failure, report_ok
from tests.support.doubles import InstantPasswordHasher
from tests.support.storage.storages import BareStorage, InMemorySeparateOrders

FACTS = StorageFacts("Server 1.0", 0.002, clock_ahead=0.01, max_connections=100)


class KnownStorage(InMemoryStorage, StorageInspector):
    """A storage with the properties that a test gives it."""

    def __init__(self, facts: StorageFacts) -> None:
        super().__init__()
        self._facts = facts

    async def inspect(self) -> StorageFacts:
        return self._facts


def container(storage: Storage | None = None, /, **values: object) -> Container:
    return Container(settings=make_settings(values), storage=storage or InMemoryStorage())


async def find(facts: StorageFacts, **values: object) -> dict[str, Finding]:
    """Return the findings about a storage, by the names of the checks."""
    found = await check_database(container(KnownStorage(facts), **values))
    return {finding.check: finding for finding in found}


async def test_check_that_raises_does_not_stop_the_others() -> None:
    async def break_down(_: Container) -> Sequence[Finding]:
        raise RuntimeError("postgresql://shop:hunter2@db/orders")

    async def refuse(_: Container) -> Sequence[Finding]:
        raise SigningKeyError("the file has no keys")

    async def lose(_: Container) -> Sequence[Finding]:
        raise FileNotFoundError(2, "No such file", "/srv/keys")

    async def succeed(_: Container) -> Sequence[Finding]:
        return [report_ok("last", "sound")]

    checks = [
        Check("first", break_down),
        Check("second", refuse),
        Check("third", lose),
        Check("last", succeed),
    ]
    assert await run_checks(checks, container()) == [
        report_failure("first", "the check ended with RuntimeError"),
        report_failure("second", "the file has no keys"),
        report_failure("third", "/srv/keys: No such file"),
        report_ok("last", "sound"),
    ]


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ValueError("hunter2"), ["the check ended with ValueError"]),
        (
            SettingsError(["ORDERGATE_CONTAINER: no module", "more"]),
            ["ORDERGATE_CONTAINER: no module", "more"],
        ),
    ],
)
async def test_container_that_cannot_be_made_is_a_failure(
    error: Exception, found: list[str]
) -> None:
    def refuse(_: Settings) -> Container:
        raise error

    settings = ReadSettings(make_settings({}), ["ORDERGATE_X is not a setting"])
    assert await diagnose(settings, refuse) == [
        report_failure("settings", "ORDERGATE_X is not a setting"),
        *(report_failure("container", reason) for reason in found),
    ]


async def test_settings_that_cannot_be_used_end_the_diagnosis() -> None:
    problems = ["ORDERGATE_X is not a setting", "ORDERGATE_HOME is blank"]
    found = await diagnose(
        ReadSettings(None, problems), lambda settings: Container(settings=settings)
    )
    assert found == [report_failure("settings", problem) for problem in problems]


async def test_facts_of_a_sound_storage_are_ok() -> None:
    found = await find(FACTS, workers=2)
    assert [finding.status for finding in found.values()] == [Status.OK] * 4
    assert found["database"].found.startswith("Server 1.0 at /")
    assert found["database"].found.endswith("/ordergate.db answers in 2.0 ms")
    assert found["connections"].found == (
        "2 workers of this host may open 22 of the 100 connections that the server permits, enough"
        " for 4 such hosts"
    )
    assert found["clock"].found == (
        "the clock of the database is 0.010 s ahead of that of this machine"
    )


async def test_schema_that_cannot_be_served_is_a_failure() -> None:
    found = await find(replace(FACTS, schema_error="run `ordergate migrate`"))
    assert found["schema"] == report_failure("schema", "run `ordergate migrate`")


async def test_more_connections_than_the_server_permits_are_a_warning() -> None:
    found = await find(replace(FACTS, max_connections=43), workers=4, database_pool_size=10)
    assert found["connections"].status is Status.WARNING
    assert found["connections"].found.startswith("4 workers of this host may open 44 of the 43 ")
    found = await find(replace(FACTS, max_connections=44), workers=4, database_pool_size=10)
    assert found["connections"].status is Status.OK


@pytest.mark.parametrize("ahead", [1.5, -1.5])
async def test_clocks_that_differ_by_more_than_a_second_are_a_warning(ahead: float) -> None:
    found = await find(replace(FACTS, clock_ahead=ahead))
    assert found["clock"].status is Status.WARNING
    assert f"1.500 s {'ahead of' if ahead > 0 else 'behind'} that of" in found["clock"].found


@pytest.mark.parametrize(("workers", "status"), [(1, Status.OK), (2, Status.WARNING)])
async def test_version_that_risks_data_of_several_processes_is_a_warning(
    workers: int, status: Status
) -> None:
    found = await find(replace(FACTS, risk="this version can damage it"), workers=workers)
    assert found["database"].status is status


async def test_storage_with_no_limits_and_the_clock_of_this_machine_has_fewer_lines() -> None:
    facts = StorageFacts("File 1.0", 0.02, {"journal": "wal", "pages": "7"})
    found = await find(facts)
    assert list(found) == ["database", "schema"]
    assert found["database"].found.endswith(" answers in 20 ms with journal wal, pages 7")


async def test_storage_that_does_not_describe_itself_is_opened() -> None:
    (finding,) = await check_database(container(BareStorage()))
    assert (finding.check, finding.status) == ("database", Status.OK)
    assert finding.found.startswith("BareStorage answers in ")


async def test_unavailable_server_is_named_without_its_password() -> None:
    class LostStorage(KnownStorage):
        async def inspect(self) -> StorageFacts:
            raise StorageUnavailable("PostgreSQL: the connection was refused")

    url = "postgresql://shop:hunter2@db/orders"
    parts = container(LostStorage(FACTS), database_url=url)
    assert await check_database(parts) == [
        report_failure(
            "database",
            "PostgreSQL: the connection was refused at db:5432/orders",
            "start that server, or correct ORDERGATE_DATABASE_URL",
        )
    ]


async def test_separate_orders_are_asked_and_closed() -> None:
    orders = InMemorySeparateOrders()
    parts = Container(settings=make_settings({}), storage=InMemoryStorage(), orders=orders)
    (finding,) = await check_separate_orders(parts)
    assert finding.found.startswith("InMemorySeparateOrders answers in ")
    assert orders.closed
    assert await check_separate_orders(container()) == []


def key(status: KeyStatus, age: timedelta | None = None) -> KeyRecord:
    since = None if age is None else datetime.now(UTC) - age
    return KeyRecord(KeyId(f"{status}-key"), "ES256", status, since)


async def find_keys(*keys: KeyRecord) -> Finding:
    parts = container()
    parts.list_signing_keys.override(Object(lambda: keys))
    (finding,) = await check_keys(parts)
    return finding


async def test_age_and_number_of_signing_keys_are_shown() -> None:
    found = await find_keys(
        key(KeyStatus.VERIFYING, timedelta(days=9)),
        key(KeyStatus.SIGNING, timedelta(days=8, hours=1)),
        key(KeyStatus.PUBLISHED, timedelta(days=1)),
    )
    assert found.status is Status.OK
    assert found.found.startswith("the ES256 key signing-key has signed since 20")
    assert found.found.endswith(" (8 days), 1 published, 1 verifying")


@pytest.mark.parametrize(
    ("age", "advice"),
    [
        (MAX_AGE + timedelta(hours=1), "let cron run `ordergate keys rotate`"),
        (timedelta(hours=-1), "compare the clocks of the hosts"),
    ],
    ids=["old", "future"],
)
async def test_key_that_signs_too_long_or_too_soon_is_a_warning(
    age: timedelta, advice: str
) -> None:
    found = await find_keys(key(KeyStatus.SIGNING, age))
    assert (found.status, found.advice) == (Status.WARNING, advice)


async def test_key_of_the_settings_is_ok() -> None:
    found = await find_keys(key(KeyStatus.SIGNING))
    assert found == report_ok(
        "keys", "the ES256 key signing-key of the settings signs, and is not rotated"
    )


async def test_first_key_is_not_made() -> None:
    """A unit test fails when it writes a file."""
    home = Path(__file__).parent / "missing"
    (finding,) = await check_keys(container(home=home))
    assert finding == report_ok(
        "keys", f"none is there yet, and the first start makes one in {home}/signing-keys.json"
    )


@pytest.mark.parametrize(
    ("values", "status", "found"),
    [
        ({}, Status.OK, "none is trusted"),
        ({"trusted_proxies": "10.0.0.0/8"}, Status.OK, "10.0.0.0/8 may name"),
        ({"trusted_proxies": "10.0.0.0/7"}, Status.WARNING, "every host in 10.0.0.0/7 can"),
        ({"trusted_proxies": "2000::/3"}, Status.WARNING, "every host in 2000::/3 can"),
        ({"issuer": "https://orders.example"}, Status.WARNING, "the public URL is https"),
        (
            {"issuer": "https://orders.example", "trusted_proxies": "192.0.2.1"},
            Status.OK,
            "192.0.2.1/32 may name",
        ),
        ({"trusted_proxies": "unix"}, Status.OK, "unix may name"),
        ({"trusted_proxies": "unix,10.0.0.0/7"}, Status.WARNING, "every host in 10.0.0.0/7 can"),
        ({"listen_uds": "/run/s"}, Status.WARNING, "clients of the Unix socket have no address"),
        (
            {"listen_uds": "/run/s", "trusted_proxies": "127.0.0.1"},
            Status.WARNING,
            "clients of the Unix socket have no address",
        ),
        ({"listen_uds": "/run/s", "trusted_proxies": "unix"}, Status.OK, "unix may name"),
    ],
)
async def test_proxies_are_compared_with_the_public_url(
    values: dict[str, object], status: Status, found: str
) -> None:
    (finding,) = await check_proxies(container(**values))
    assert finding.status is status
    assert finding.found.startswith(found)


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({}, Status.OK),
        ({"listen_host": "192.0.2.7"}, Status.WARNING),
        ({"listen_port": 8001}, Status.WARNING),
        ({"listen_uds": "/run/s"}, Status.WARNING),
        ({"listen_port": 8001, "issuer": "http://127.0.0.1:9000"}, Status.OK),
        ({"issuer": "http://orders.example"}, Status.WARNING),
        ({"issuer": "https://orders.example"}, Status.OK),
    ],
)
async def test_address_of_the_issuer_is_one_that_clients_reach(
    values: dict[str, object], status: Status
) -> None:
    (finding,) = await check_issuer(container(**values))
    assert finding.status is status


@pytest.mark.parametrize(
    ("values", "is_failure"),
    [
        ({}, False),
        ({"metrics_port": 8000}, True),
        ({"metrics_port": 8000, "listen_host": "::"}, True),
        ({"metrics_port": 8000, "listen_host": "192.0.2.7"}, False),
        ({"metrics_port": 8000, "listen_host": "localhost"}, True),
        ({"metrics_port": 8000, "listen_port": 8001}, False),
        ({"metrics_port": 0, "listen_port": 0}, False),
    ],
)
async def test_port_of_the_metrics_is_not_that_of_the_service(
    values: dict[str, object], *, is_failure: bool
) -> None:
    found = await check_listening(container(**values))
    assert [each.status for each in found] == ([Status.FAILED] if is_failure else [])


async def test_folder_of_the_unix_socket_must_exist() -> None:
    path = Path(__file__).parent / "missing" / "socket"
    (finding,) = await check_listening(container(listen_uds=path))
    assert (finding.status, finding.found) == (
        Status.FAILED,
        f"the folder of {path} does not exist",
    )
    (finding,) = await check_listening(container(listen_uds=Path(__file__).parent / "socket"))
    assert finding.status is Status.OK


async def test_cheap_hash_is_a_warning() -> None:
    (finding,) = await check_passwords(container(bcrypt_cost=4))
    assert (finding.status, finding.advice) == (
        Status.WARNING,
        "set ORDERGATE_BCRYPT_COST to 10 or more",
    )
    assert finding.found.startswith("bcrypt of cost 4 takes ")


async def test_hasher_of_an_adopter_is_named_and_only_its_time_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = Container(
        settings=make_settings({"bcrypt_cost": 4}),
        storage=InMemoryStorage(),
        hasher=InstantPasswordHasher(),
    )
    (finding,) = await check_passwords(parts)
    assert finding.status is Status.OK
    assert re.fullmatch(r"a hash of InstantPasswordHasher takes [\d.]+ ms", finding.found)
    monkeypatch.setattr(passwords, "MAX_SECONDS", 0)
    (slow,) = await check_passwords(parts)
    assert slow.advice == "make it cheaper, or use a faster machine: sign-ins wait for it"


@pytest.mark.parametrize("workers", [1, 3])
async def test_counters_in_memory_are_those_of_a_worker(workers: int) -> None:
    (finding,) = await check_throttle(container(workers=workers))
    assert finding.status is Status.OK
    assert finding.found.endswith(
        "in the memory of each worker" if workers == 1 else "so 3 workers permit 3 times as many"
    )


OTHER_ISSUER = {
    "identity_provider": "oidc",
    "issuer": "https://id.example",
    "audience": "https://orders.example",
}


async def test_checks_of_own_accounts_do_not_apply_to_another_issuer() -> None:
    parts = container(**OTHER_ISSUER)
    for check in (check_keys, check_passwords, check_throttle):
        assert await check(parts) == []


@pytest.mark.parametrize(
    ("settings", "counted"),
    [({}, "failed sign-ins and requests"), (OTHER_ISSUER, "requests")],
    ids=["own tokens", "another issuer"],
)
async def test_counters_of_requests_are_named(settings: dict[str, str], counted: str) -> None:
    (finding,) = await check_throttle(container(requests_per_client=600, **settings))
    assert finding.found == f"{counted} are counted in the memory of each worker"
