"""The commands to MariaDB for one call."""

import pytest

from ordergate.adapters.sql.sql_storage import SqlStorage
from tests.support.builders import ALICE, a_placed_order
from tests.support.databases.mariadb import as_mysql, database_at, read_commands
from tests.support.identity.use_case_calls import ROUND_TRIPS, Call, Client, count_round_trips
from tests.support.proxies.lossy_proxy import LossyProxy


@pytest.mark.parametrize("call", ROUND_TRIPS, ids=lambda call: call.__name__)
async def test_use_case_needs_few_round_trips(
    wired: SqlStorage, wire: LossyProxy, call: Call
) -> None:
    client = Client(wired)
    await client.begin()
    for _ in range(2):
        await client.prepare(call)
        wire.sent.clear()
        await call(client)
        assert len(read_commands(wire.sent)) == ROUND_TRIPS[call]


async def test_mysql_runs_transactions_instead(wired: SqlStorage, wire: LossyProxy) -> None:
    client, commands = Client(wired), {}
    with as_mysql(wired):
        await client.begin()
        for call in ROUND_TRIPS:
            await client.prepare(call)
            wire.sent.clear()
            await call(client)
            commands[call] = len(read_commands(wire.sent))
    assert {call: each for call, each in commands.items() if each != ROUND_TRIPS[call]} == {
        Client.place: 5,
        Client.place_with_key: 7,
        Client.cancel: 6,
        Client.sign_in: 8,
        Client.refresh: 9,
    }


async def test_first_write_of_an_unknown_server_is_a_transaction(
    storage: SqlStorage, wire: LossyProxy
) -> None:
    unopened = SqlStorage(database_at(wire.url))
    for number, statement in ((11, b"BEGIN"), (12, b"EXECUTE IMMEDIATE")):
        wire.sent.clear()
        assert await unopened.orders.add(a_placed_order(number), owner=ALICE.id)
        assert any(each.startswith(statement) for each in read_commands(wire.sent))
    await unopened.close()


async def test_counted_round_trips_are_those_of_the_network(
    wired: SqlStorage, wire: LossyProxy
) -> None:
    assert count_round_trips(wired) == 0
    hashes = {"old": ALICE.password_hash, "new": ALICE.password_hash}
    for call in (
        lambda: wired.users.find(ALICE.username),
        lambda: wired.orders.add(a_placed_order(12), owner=ALICE.id),
        lambda: wired.users.replace_password_hash(ALICE.id, **hashes),
    ):
        counted = count_round_trips(wired)
        wire.sent.clear()
        await call()
        assert count_round_trips(wired) - counted == len(read_commands(wire.sent))


@pytest.mark.timing
async def test_read_waits_for_the_network_once(wired: SqlStorage, wire: LossyProxy) -> None:
    client = Client(wired)
    await client.begin()
    await client.get()
    assert await wire.measure_delay(client.get, 0.01) < 1.5
