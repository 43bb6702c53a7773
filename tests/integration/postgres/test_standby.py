"""Reads at a standby that lags behind."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import asyncpg
import pytest

from ordergate.adapters.sql.postgres import standby, standby_reads
from ordergate.adapters.sql.postgres.standby import PostgresStandby
from ordergate.adapters.sql.postgres.standby_reads import StandbyReads
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.consistency import CURRENT, Consistency
from ordergate.application.errors import OrderIdTaken, StorageUnavailable
from ordergate.application.ports.orders import IdempotencyKey, OrderQuery
from ordergate.domain.order import Order, OrderId
from tests.contracts.orders.orders_contract import cancel
from tests.support.builders import ALICE, AT, a_placed_order
from tests.support.databases.postgres import LaggingPair, database_at, execute
from tests.support.proxies.lossy_proxy import LossyProxy

KEY = IdempotencyKey("a wish", AT + timedelta(days=1))
NUMBERS = count(1)


@pytest.fixture
def name() -> str:
    return f"orders_{next(NUMBERS)}"


def open_at(url: str, standby_url: str) -> SqlStorage:
    primary = database_at(url)
    copy = PostgresStandby(standby_url, pool_size=5, pool_seconds=5, statement_seconds=5)
    return SqlStorage(primary, StandbyReads(primary, copy))


@pytest.fixture
async def storage(lagging_pair: LaggingPair, name: str) -> AsyncIterator[SqlStorage]:
    await execute(lagging_pair.primary.url(), f"CREATE DATABASE {name} TEMPLATE template0")
    storage = open_at(lagging_pair.primary.url(name), lagging_pair.standby.url(name))
    await storage.migrate()
    await storage.loader.load([ALICE], [a_placed_order(1)])
    await lagging_pair.follow()
    yield storage
    await storage.close()


class Wired(NamedTuple):
    """A storage behind proxies, and the name of its database."""

    storage: SqlStorage
    to_primary: LossyProxy
    to_standby: LossyProxy
    name: str


@pytest.fixture
async def wired(lagging_pair: LaggingPair, storage: SqlStorage, name: str) -> AsyncIterator[Wired]:
    async with (
        LossyProxy(lagging_pair.primary.url(name)).running() as to_primary,
        LossyProxy(lagging_pair.standby.url(name)).running() as to_standby,
    ):
        wired = Wired(open_at(to_primary.url, to_standby.url), to_primary, to_standby, name)
        yield wired
        to_primary.silent = to_standby.silent = False
        await wired.storage.close()


@contextmanager
def request(needed: int | None = None) -> Iterator[Consistency]:
    """Work for a request that needs the writes up to a position."""
    consistency = Consistency(needed)
    former = CURRENT.set(consistency)
    try:
        yield consistency
    finally:
        CURRENT.reset(former)


async def read(storage: SqlStorage, number: int, needed: int | None) -> Order | None:
    with request(needed):
        return await storage.orders.get_owned(OrderId(number), owner=ALICE.id)


async def place(storage: SqlStorage, order: Order, key: IdempotencyKey | None = None) -> int | None:
    """Place an order, and return the position of it."""
    with request() as consistency:
        assert await storage.orders.add(order, owner=ALICE.id, key=key) == order
    return consistency.written


async def test_read_with_a_position_has_that_write(
    lagging_pair: LaggingPair, storage: SqlStorage
) -> None:
    async with lagging_pair.paused():
        order = a_placed_order(2)
        position = await place(storage, order)
        assert position
        assert await read(storage, 2, position) == order
        assert await read(storage, 2, position - 1) is None
        assert await read(storage, 2, 0) is None
        assert await read(storage, 1, 0) == a_placed_order(1)


async def test_read_without_a_position_is_the_newest(
    lagging_pair: LaggingPair, storage: SqlStorage
) -> None:
    async with lagging_pair.paused():
        await place(storage, a_placed_order(2))
        assert await read(storage, 2, None)
        assert await storage.orders.get_owned(OrderId(2), owner=ALICE.id)


async def test_list_follows_the_same_rule(lagging_pair: LaggingPair, storage: SqlStorage) -> None:
    async def list_ids(needed: int | None) -> list[int]:
        with request(needed):
            page = await storage.orders.list_owned(OrderQuery(limit=50), owner=ALICE.id)
        return sorted(order.id for order in page)

    async with lagging_pair.paused():
        position = await place(storage, a_placed_order(2))
        assert [await list_ids(each) for each in (0, position, None)] == [[1], [1, 2], [1, 2]]


async def test_every_write_has_a_position(lagging_pair: LaggingPair, storage: SqlStorage) -> None:
    async with lagging_pair.paused():
        order, unkeyed = a_placed_order(2), a_placed_order(3)
        position = await place(storage, order, KEY)
        assert await read(storage, 2, position) == order
        await place(storage, unkeyed)
        with request() as change:
            changed = await storage.orders.update(OrderId(2), owner=ALICE.id, change=cancel)
        assert await read(storage, 2, change.written) == changed
        assert changed


async def test_found_write_has_a_position(lagging_pair: LaggingPair, storage: SqlStorage) -> None:
    """A repeated request gets an order that another has placed."""
    async with lagging_pair.paused():
        order = a_placed_order(2)
        await place(storage, order, KEY)
        with request() as repeated:
            again = replace(order, id=OrderId(9))
            assert await storage.orders.add(again, owner=ALICE.id, key=KEY) == order
        assert await read(storage, 2, repeated.written) == order
        position = await place(storage, order)
        assert await read(storage, 2, position) == order


async def test_refused_write_reveals_nothing_old(
    lagging_pair: LaggingPair, storage: SqlStorage
) -> None:
    async with lagging_pair.paused():
        order = a_placed_order(2)
        await place(storage, order)
        other = replace(order, placed_at=AT + timedelta(days=2))
        with request(), pytest.raises(OrderIdTaken):
            await storage.orders.add(other, owner=ALICE.id)


async def test_change_is_made_of_the_newest_order(
    lagging_pair: LaggingPair, storage: SqlStorage
) -> None:
    async with lagging_pair.paused():
        await place(storage, a_placed_order(2))
        with request(0):
            assert await storage.orders.update(OrderId(2), owner=ALICE.id, change=cancel)


async def test_older_transaction_holds_reads_at_the_primary(
    lagging_pair: LaggingPair, wired: Wired
) -> None:
    """The standby cannot tell whether the older one will be first."""
    older = await asyncpg.connect(lagging_pair.primary.url(wired.name))
    try:
        transaction = older.transaction()
        await transaction.start()
        await older.execute("SELECT pg_current_xact_id()")
        position = await place(wired.storage, a_placed_order(2))
        await lagging_pair.follow()
        wired.to_primary.sent.clear()
        assert await read(wired.storage, 2, position)
        assert wired.to_primary.sent
        await transaction.rollback()
    finally:
        await older.close()
    await lagging_pair.follow()
    wired.to_primary.sent.clear()
    assert await read(wired.storage, 2, position)
    assert not wired.to_primary.sent


async def test_standby_is_read_in_one_round_trip(
    lagging_pair: LaggingPair, wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read_order() -> None:
        await read(wired.storage, 2, position)

    async def list_orders() -> None:
        with request(position):
            await wired.storage.orders.list_owned(OrderQuery(limit=50), owner=ALICE.id)

    position = await place(wired.storage, a_placed_order(2))
    await lagging_pair.follow()
    monkeypatch.setattr(standby, "CHECK_SECONDS", 60.0)
    calls: tuple[Callable[[], Awaitable[object]], ...] = (read_order, list_orders)
    for call in calls:
        for _ in range(3):
            wired.to_primary.sent.clear()
            wired.to_standby.sent.clear()
            await call()
        assert (len(wired.to_standby.sent), len(wired.to_primary.sent)) == (1, 0)


async def test_position_costs_no_round_trip(wired: Wired) -> None:
    for number in range(2, 5):
        wired.to_primary.sent.clear()
        assert await place(wired.storage, a_placed_order(number))
    assert len(wired.to_primary.sent) == 1


async def test_reads_go_on_without_the_primary(wired: Wired) -> None:
    assert await read(wired.storage, 1, 0)
    wired.to_primary.silent = True
    assert await read(wired.storage, 1, 0)


async def test_silent_standby_delays_a_read_by_few_seconds(wired: Wired) -> None:
    assert await read(wired.storage, 1, 0)
    wired.to_standby.silent = True
    async with asyncio.timeout(6):
        assert await read(wired.storage, 1, 0)
    wired.to_standby.sent.clear()
    assert await read(wired.storage, 1, 0)
    assert not wired.to_standby.sent


async def test_standby_that_is_gone_is_left_and_used_again(
    lagging_pair: LaggingPair,
    storage: SqlStorage,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "ordergate.database")
    assert await read(storage, 1, 0)
    await asyncio.to_thread(lagging_pair.standby.stop)
    try:
        for _ in range(3):
            assert await read(storage, 1, 0)
        assert [record.message for record in caplog.records] == ["read_database_left"]
        assert str(caplog.records[0].__dict__["reason"]).startswith("PostgreSQL: ")
    finally:
        await asyncio.to_thread(lagging_pair.standby.start)
    async with lagging_pair.paused():
        await place(storage, a_placed_order(2))
        assert await read(storage, 2, 0)  # the pause lasts
        monkeypatch.setattr(standby_reads, "monotonic", lambda: monotonic() + 5)
        assert await read(storage, 2, 0) is None
    assert [record.message for record in caplog.records][1:] == ["read_database_used_again"]


async def test_busy_standby_is_not_waited_for(
    wired: Wired, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby_reads, "_SECONDS", 30.0)
    await asyncio.gather(*(read(wired.storage, 1, 0) for _ in range(5)))
    wired.to_standby.delay = 0.3
    wired.to_primary.sent.clear()
    assert all(await asyncio.gather(*(read(wired.storage, 1, 0) for _ in range(20))))
    assert wired.to_primary.sent
    assert caplog.records == []
    wired.to_standby.delay = 0.0


async def test_first_standby_of_several_hosts_is_read(
    lagging_pair: LaggingPair, storage: SqlStorage, name: str
) -> None:
    hosts = f"@127.0.0.1:{lagging_pair.primary.port},127.0.0.1:{lagging_pair.standby.port}/"
    url = lagging_pair.standby.url(name).replace(f"@127.0.0.1:{lagging_pair.standby.port}/", hosts)
    several = open_at(lagging_pair.primary.url(name), url)
    async with lagging_pair.paused():
        await place(storage, a_placed_order(2))
        assert await read(several, 2, 0) is None
        assert await read(several, 1, 0)
    await several.close()


async def test_primary_is_no_standby(
    lagging_pair: LaggingPair, storage: SqlStorage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = lagging_pair.primary.url(name)
    await refuse(open_at(url, url), caplog, "PostgreSQL: no host is a standby")


async def refuse(storage: SqlStorage, caplog: pytest.LogCaptureFixture, reason: str) -> None:
    """Expect that a server is not read as a standby."""
    assert await read(storage, 1, 0)
    assert await read(storage, 7, 0) is None
    assert [record.__dict__["reason"] for record in caplog.records] == [reason]
    with pytest.raises(StorageUnavailable, match=reason):
        await storage.time_read_copy()
    await storage.close()


NO_STANDBY = "PostgreSQL: the server is no standby of the primary"


async def test_standby_of_another_database_is_never_read(
    lagging_pair: LaggingPair, storage: SqlStorage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    another = f"another_of_{name}"
    await execute(lagging_pair.primary.url(), f"CREATE DATABASE {another} TEMPLATE template0")
    foreign = SqlStorage(database_at(lagging_pair.primary.url(another)))
    await foreign.migrate()
    await foreign.loader.load([ALICE], [a_placed_order(7)])
    await foreign.close()
    await lagging_pair.follow()
    url = lagging_pair.standby.url(another)
    await refuse(open_at(lagging_pair.primary.url(name), url), caplog, NO_STANDBY)


async def test_standby_of_a_copied_database_is_never_read(
    lagging_pair: LaggingPair,
    storage: SqlStorage,
    name: str,
    postgres_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A dump of the database has the same secret."""
    await place(storage, a_placed_order(7))
    await lagging_pair.follow()
    secret = await storage.get_secret()
    await execute(postgres_url, f"UPDATE secrets SET value = '\\x{secret.hex()}'")
    copied = open_at(postgres_url, lagging_pair.standby.url(name))
    await copied.loader.load([ALICE], [a_placed_order(1)])
    await refuse(copied, caplog, NO_STANDBY)


@pytest.fixture
def own_pair(postgres_binaries: Path) -> Iterator[LaggingPair]:
    """Return a pair that no other test uses."""
    with LaggingPair.running(postgres_binaries) as pair:
        yield pair


async def test_promoted_standby_is_left(
    own_pair: LaggingPair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its open connections stay."""
    storage = open_at(own_pair.primary.url(), own_pair.standby.url())
    await storage.migrate()
    await storage.loader.load([ALICE], [a_placed_order(1)])
    await own_pair.follow()
    assert await read(storage, 1, 0)
    delete = "DELETE FROM order_lines", "DELETE FROM orders"
    await execute(own_pair.standby.url(), "SELECT pg_promote()", *delete)
    monkeypatch.setattr(standby, "monotonic", lambda: monotonic() + standby.CHECK_SECONDS)
    assert await read(storage, 1, 0)
    assert [record.__dict__["reason"] for record in caplog.records] == [NO_STANDBY]
    await storage.close()


async def test_standby_that_follows_a_lost_primary_is_never_read(
    own_pair: LaggingPair, caplog: pytest.LogCaptureFixture
) -> None:
    """Its transactions have ids that the new primary assigns again."""
    promoted = await asyncio.to_thread(own_pair.primary.standby)
    try:
        before = SqlStorage(database_at(own_pair.primary.url()))
        await before.migrate()
        await before.loader.load([ALICE], [a_placed_order(1)])
        await asyncio.to_thread(promoted.start)
        await LaggingPair(own_pair.primary, promoted).follow()
        await asyncio.to_thread(promoted.stop)
        for number in range(20, 40):
            await before.orders.add(a_placed_order(number), owner=ALICE.id)
        await before.close()
        await own_pair.follow()
        await asyncio.to_thread(own_pair.primary.stop)
        await asyncio.to_thread(promoted.start)
        await execute(promoted.url(), "SELECT pg_promote()")
        after = open_at(promoted.url(), own_pair.standby.url())
        position = await place(after, a_placed_order(2))
        assert await read(after, 2, position)
        assert await read(after, 20, 0) is None
        reason = "PostgreSQL: the standby does not follow the primary yet"
        assert [record.__dict__["reason"] for record in caplog.records] == [reason]
        await after.close()
    finally:
        promoted.remove()


async def test_round_trip_to_the_standby_is_timed(storage: SqlStorage) -> None:
    seconds = await storage.time_read_copy()
    assert seconds is not None
    assert 0 < seconds < 5
    assert await SqlStorage(storage._database).time_read_copy() is None
