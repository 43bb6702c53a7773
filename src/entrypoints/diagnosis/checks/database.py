"""The database: its schema, a round trip, its limits and its clock."""

import time
from collections.abc import Iterator, Sequence

from ordergate.application.errors import CopyUnfinished, SchemaNotCurrent, StorageUnavailable
from ordergate.application.ports.storage import (
    ReadCopyInspector,
    Storage,
    StorageFacts,
    StorageInspector,
)
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.finding import (
    Finding,
    report_failure,
    report_ok,
    report_warning,
    write_count,
    write_milliseconds,
)
from ordergate.entrypoints.factories.databases import DatabaseInUse, describe_read_database

DATABASE = "database"
SCHEMA = "schema"
CONNECTIONS = "connections"
CLOCK = "clock"
ORDERS = "orders"
READ_DATABASE = "read database"

MAX_CLOCK_SECONDS = 1.0
"""The tolerated difference of two clocks that are synchronized."""


async def check_database(container: Container) -> Sequence[Finding]:
    """Check the storage of the container, and close it."""
    storage = container.storage()
    try:
        if isinstance(storage, StorageInspector):
            findings = _judge(await storage.inspect(), container)
            return [*findings, *await _check_read_database(storage, container.settings())]
        return [await _open(storage)]
    except (SchemaNotCurrent, CopyUnfinished) as error:
        return [report_failure(SCHEMA, str(error))]
    except StorageUnavailable as error:
        return [_describe_failure(error, container.database())]
    finally:
        await storage.close()


async def check_separate_orders(container: Container) -> Sequence[Finding]:
    """Check the store of orders, if it is another one."""
    orders = container.separate_orders()
    if orders is None:
        return []
    began = time.perf_counter()
    try:
        await orders.ping()
    finally:
        await orders.close()
    return [_describe_answer(ORDERS, orders, began)]


async def _check_read_database(storage: Storage, settings: Settings) -> Sequence[Finding]:
    """Check the standby that orders are read from, if there is one."""
    standby = describe_read_database(settings)
    if standby is None or not isinstance(storage, ReadCopyInspector):
        return []
    try:
        seconds = await storage.time_read_copy()
    except StorageUnavailable as error:
        advice = "start that server, or correct ORDERGATE_READ_DATABASE_URL; the primary is read"
        return [report_warning(READ_DATABASE, f"{error} at {standby.name}", advice)]
    if seconds is None:
        return []
    found = f"the standby at {standby.name} answers in {write_milliseconds(seconds)}"
    return [report_ok(READ_DATABASE, found)]


def _judge(facts: StorageFacts, container: Container) -> Sequence[Finding]:
    settings = container.settings()
    return [
        _describe(container.database().name, facts, settings.workers),
        _judge_schema(facts),
        *_compare_connections(facts, settings.workers, settings.database_pool_size),
        *_compare_clocks(facts),
    ]


def _describe_failure(error: StorageUnavailable, database: DatabaseInUse) -> Finding:
    if database.find_reason_to_wait is None:  # the error of a file names it, and says what to do
        return report_failure(DATABASE, str(error))
    advice = "start that server, or correct ORDERGATE_DATABASE_URL"
    return report_failure(DATABASE, f"{error} at {database.name}", advice)


async def _open(storage: Storage) -> Finding:
    """Open a storage that does not describe itself, as the service does."""
    await storage.open()
    began = time.perf_counter()
    await storage.ping()
    return _describe_answer(DATABASE, storage, began)


def _describe_answer(check: str, store: object, began: float) -> Finding:
    seconds = time.perf_counter() - began
    return report_ok(check, f"{type(store).__name__} answers in {write_milliseconds(seconds)}")


def _describe(name: str, facts: StorageFacts, workers: int) -> Finding:
    details = ", ".join(f"{each} {value}" for each, value in facts.details.items())
    found = f"{facts.product} at {name} answers in {write_milliseconds(facts.round_trip)}"
    found += f" with {details}" if details else ""
    if facts.risk and workers > 1:
        advice = "install a newer version, or serve with one worker (ORDERGATE_WORKERS)"
        return report_warning(DATABASE, f"{found}, and {facts.risk}", advice)
    return report_ok(DATABASE, found)


def _judge_schema(facts: StorageFacts) -> Finding:
    if facts.schema_error:
        return report_failure(SCHEMA, facts.schema_error)
    return report_ok(SCHEMA, "the schema is current")


def _compare_connections(facts: StorageFacts, workers: int, pool_size: int) -> Iterator[Finding]:
    permitted = facts.max_connections
    if permitted is None:
        return
    needed = workers * (pool_size + 1)  # one beside the pool, for shared reads
    found = (
        f"{write_count(workers, 'worker')} of this host may open {needed} of the {permitted}"
        " connections that the server permits"
    )
    if needed > permitted:
        yield report_warning(
            CONNECTIONS,
            found,
            "lower ORDERGATE_DATABASE_POOL_SIZE or ORDERGATE_WORKERS, or raise max_connections",
        )
    else:
        yield report_ok(CONNECTIONS, f"{found}, enough for {permitted // needed} such hosts")


def _compare_clocks(facts: StorageFacts) -> Iterator[Finding]:
    ahead = facts.clock_ahead
    if ahead is None:
        return
    place = "ahead of" if ahead > 0 else "behind"
    found = f"the clock of the database is {abs(ahead):.3f} s {place} that of this machine"
    if abs(ahead) > MAX_CLOCK_SECONDS:
        yield report_warning(CLOCK, found, "synchronize the clocks of all hosts by NTP")
    else:
        yield report_ok(CLOCK, found)
