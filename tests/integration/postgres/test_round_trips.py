"""The messages to PostgreSQL for one call."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import event, text

from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.domain.order import OrderId
from tests.contracts.orders.orders_contract import cancel
from tests.support.builders import ALICE, AT, a_placed_order
from tests.support.identity.use_case_calls import ROUND_TRIPS, Call, Client, count_round_trips
from tests.support.proxies.lossy_proxy import LossyProxy


async def test_read_is_one_round_trip(wired: SqlStorage, wire: LossyProxy) -> None:
    for _ in range(3):
        wire.sent.clear()
        assert await wired.users.find(ALICE.username) == ALICE
    assert len(wire.sent) == 1
    assert b"BEGIN" not in wire.sent[0]


@pytest.mark.parametrize("key", [None, IdempotencyKey("a wish", AT + timedelta(days=1))])
async def test_placing_is_one_round_trip(
    wired: SqlStorage,
    wire: LossyProxy,
    rival: "asyncpg.Connection[asyncpg.Record]",
    key: IdempotencyKey | None,
) -> None:
    for order in map(a_placed_order, range(11, 14)):
        wire.sent.clear()
        its_key = key and replace(key, value=f"{key.value} {order.id}")
        assert await wired.orders.add(order, owner=ALICE.id, key=its_key) == order
        assert await rival.fetchval("SELECT count(*) FROM orders WHERE id = $1", order.id) == 1
    assert len(wire.sent) == 1
    assert b"BEGIN" not in wire.sent[0]


async def test_change_of_an_order_is_two_round_trips(wired: SqlStorage, wire: LossyProxy) -> None:
    for order in map(a_placed_order, range(11, 14)):
        await wired.orders.add(order, owner=ALICE.id)
        wire.sent.clear()
        assert await wired.orders.update(order.id, owner=ALICE.id, change=cancel)
    assert len(wire.sent) == 2
    assert b"BEGIN" not in b"".join(wire.sent)


@pytest.mark.parametrize("call", ROUND_TRIPS, ids=lambda call: call.__name__)
async def test_use_case_needs_few_round_trips(
    wired: SqlStorage, wire: LossyProxy, call: Call
) -> None:
    client = Client(wired)
    await client.begin()
    for _ in range(3):  # the driver describes types and prepares statements first
        await client.prepare(call)
        wire.sent.clear()
        await call(client)
    assert len(wire.sent) == ROUND_TRIPS[call]


async def test_counted_round_trips_are_those_of_the_network(
    wired: SqlStorage, wire: LossyProxy
) -> None:
    async def use(order: int) -> list[tuple[int, int]]:
        """Return the counted and the real round trips of each use."""
        steps: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: wired.users.find(ALICE.username),
            lambda: wired.orders.add(a_placed_order(order), owner=ALICE.id),
            lambda: wired.orders.update(OrderId(order), owner=ALICE.id, change=cancel),
            lambda: wired.users.replace_password_hash(
                ALICE.id, old=ALICE.password_hash, new=ALICE.password_hash
            ),
        )
        both = []
        for step in steps:
            counted = count_round_trips(wired)
            wire.sent.clear()
            await step()
            both.append((count_round_trips(wired) - counted, len(wire.sent)))
        return both

    assert count_round_trips(wired) == 0
    for order in range(11, 13):  # until statements are prepared
        await use(order)
    assert await use(13) == [(1, 1), (1, 1), (2, 2), (3, 3)]


async def test_statements_are_observed_after_the_first_count_alone(
    database: PostgresDatabase,
) -> None:
    def is_observed() -> bool:
        trips = database._round_trips
        engine = database._engine.sync_engine
        return event.contains(engine, "before_cursor_execute", trips._on_statement)

    await database.read(lambda connection: connection.scalar(text("SELECT 1")))
    assert not is_observed()
    assert database.count_work() == (0, 0)
    assert is_observed()


@pytest.mark.timing
async def test_read_waits_for_the_network_once(wired: SqlStorage, wire: LossyProxy) -> None:
    client = Client(wired)
    await client.begin()
    await client.get()
    assert await wire.measure_delay(client.get, 0.01) < 1.5
