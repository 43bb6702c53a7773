"""Round trips as operators see them, and as the network does."""

from collections.abc import Awaitable, Callable

from sqlalchemy import event, text

from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.domain.order import OrderId
from tests.contracts.orders_contract import cancel
from tests.support.builders import ALICE, a_placed_order
from tests.support.lossy_proxy import LossyProxy


async def test_counted_round_trips_are_those_of_the_network(
    wired: SqlStorage, wire: LossyProxy
) -> None:
    def count() -> int:
        work = wired.count_work()
        assert work is not None
        assert work.repetitions == 0
        return work.round_trips

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
            counted = count()
            wire.sent.clear()
            await step()
            both.append((count() - counted, len(wire.sent)))
        return both

    assert count() == 0
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
