"""Rows that cannot be read, on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.errors import RecordUnreadable
from ordergate.application.maintenance.copy_storage import CopyStorage
from ordergate.application.ports.orders import OrderQuery
from ordergate.domain.order import Order, OrderId
from tests.support.api.http_client import problem, sign_in, walk_pages
from tests.support.builders import ALICE, an_order
from tests.support.databases.postgres import database_at
from tests.support.program.command import PASSWORD, ordergate
from tests.support.storage.stored_rows import AT, corrupt, run, served

BROKEN = {
    "it has no lines": "DELETE FROM order_lines WHERE order_id = {}",
    "name of line 0": "UPDATE order_lines SET name = x'ff00' WHERE order_id = {}",
    "quantity of line 0": "UPDATE order_lines SET quantity = 'many' WHERE order_id = {}",
    "unit_price of line 0": "UPDATE order_lines SET unit_price = 1.5 WHERE order_id = {}",
    "of line x": "UPDATE order_lines SET position = 'x' WHERE order_id = {} AND position = 1",
    "placed_at": "UPDATE orders SET placed_at = '2026-13-45 99:00' WHERE id = {}",
    "currency": "UPDATE orders SET currency = x'00' WHERE id = {}",
    "version": "UPDATE orders SET version = 'first' WHERE id = {}",
}


@pytest.mark.parametrize("reason", BROKEN)
async def test_unreadable_order_is_named_and_affects_no_other(
    file: Path, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    corrupt(file, BROKEN[reason].format(5))
    storage = SqlStorage(SqliteDatabase(file))
    await storage.open()
    async with await served(storage) as client:
        user = await sign_in(client, "alice")
        caplog.clear()
        assert await walk_pages(client, "/orders?limit=2", user) == [[9, 8], [7, 6], [4, 3], [2, 1]]
        named = [r.message for r in caplog.records if r.name == "ordergate.storage"]
        assert named
        for message in named:
            assert message.startswith("the order 5 of account 1 cannot be read as it is stored: ")
            assert reason in message
        assert (await client.get("/order?id=4", headers=user)).status_code == 200
        caplog.clear()
        for method, address in (("GET", "/order?id=5"), ("POST", "/orders/5/cancel")):
            answer = await client.request(method, address, headers=user)
            assert answer.status_code == 500
            body = problem(answer)
            assert body["type"] == "urn:problem-type:ordergate:record-unreadable"
            assert "5" not in str(body["detail"])
        reasons = [vars(r)["reason"] for r in caplog.records if r.message == "request_failed"]
        assert len(reasons) == 2
        assert all("the order 5 of account 1" in each for each in reasons)
    with pytest.raises(RecordUnreadable, match="order 5 of account 1"):
        await CopyStorage(storage, InMemoryStorage())()
    await storage.close()


@pytest.mark.parametrize("limit", [1, 2, 3, 9, 50])
async def test_pages_continue_past_unreadable_orders(file: Path, limit: int) -> None:
    corrupt(file, *(BROKEN["it has no lines"].format(i) for i in (1, 3, 4, 5, 6, 7, 9)))
    storage = SqlStorage(SqliteDatabase(file))
    await storage.open()
    async with await served(storage) as client:
        user = await sign_in(client, "alice")
        pages = await walk_pages(client, f"/orders?limit={limit}", user)
        assert [each for page in pages for each in page] == [8, 2]
        assert all(len(page) <= limit for page in pages)
        paid = await walk_pages(client, f"/orders?limit={limit}&status=paid", user)
        assert paid == pages
    await storage.close()


async def test_order_without_lines_is_unreadable_on_postgresql(postgres_url: str) -> None:
    database = database_at(postgres_url)
    storage = SqlStorage(database)
    await storage.open()
    await storage.loader.load([ALICE], [an_order(i) for i in (5, 6)])
    await run(database, "DELETE FROM order_lines WHERE order_id = 6")
    assert await storage.orders.list_owned(OrderQuery(limit=1), owner=ALICE.id) == [an_order(5)]
    with pytest.raises(RecordUnreadable, match=r"order 6 of account 1 .* it has no lines"):
        await storage.orders.get_owned(OrderId(6), owner=ALICE.id)
    with pytest.raises(RecordUnreadable, match="order 6 of account 1"):
        await storage.archive.read(Order, limit=9)
    await storage.close()


@pytest.mark.parametrize("column", ["scope", "started_at", "last_used_at", "expires_at"])
async def test_unreadable_session_affects_no_other(
    file: Path, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = SqlStorage(SqliteDatabase(file))
    await storage.open()
    async with await served(storage) as client:
        form = {"username": "alice", "password": PASSWORD}
        broken = (await client.post("/login", data=form)).json()
        (session,) = await storage.sessions.list_active(ALICE.id, at=datetime.now(UTC), limit=9)
        user = await sign_in(client, "alice")
        corrupt(file, f"UPDATE sessions SET {column} = x'39' WHERE id = '{session.id}'")
        shown = await client.get("/sessions", headers=user)
        assert [each["id"] == session.id for each in shown.json()] == [False]
        assert f"the session {session.id} cannot be read" in caplog.text
        renewal = {"grant_type": "refresh_token", "refresh_token": broken["refresh_token"]}
        assert (await client.post("/login", data=renewal)).status_code == 400
    with pytest.raises(RecordUnreadable, match=f"session {session.id}"):
        await CopyStorage(storage, InMemoryStorage())()
    await storage.close()


async def test_session_without_an_end_time_has_ended(file: Path) -> None:
    storage = SqlStorage(SqliteDatabase(file))
    await storage.open()
    async with await served(storage) as client:
        await sign_in(client, "alice")
    (session,) = await storage.sessions.list_active(ALICE.id, at=datetime.now(UTC), limit=9)
    corrupt(file, "UPDATE sessions SET ended_at = 'yesterday'")
    assert await storage.sessions.ended_since(AT) == {session.id: AT}
    assert not await storage.sessions.is_active(session.id, user=ALICE.id, at=AT)
    await storage.close()


def test_commands_work_on_records_of_other_versions(file: Path) -> None:
    folder = file.parents[1]
    corrupt(
        file,
        "UPDATE users SET username = 'Al\U0001faceice\u0378' WHERE id = 1",
        "UPDATE order_lines SET name = 'Teapot \U0001fae8 \U0001fadc' WHERE order_id = 1",
        "UPDATE orders SET currency = 'XXZ' WHERE id = 2",
        "UPDATE order_lines SET quantity = 2000000 WHERE order_id = 3",
        "UPDATE orders SET status = 'returned' WHERE id = 4",
    )
    for order in (1, 2, 3):
        done = ordergate(
            "orders", "advance", order, "shipped", "--owner", "Al\U0001faceice\u0378", cwd=folder
        )
        assert done.stdout == f"Order {order} of Al\U0001faceice\u0378 is shipped.\n", done.stderr
    refused = ordergate("orders", "advance", 4, "shipped", cwd=folder)
    assert refused.returncode == 1
    assert "'returned', which this release does not know" in refused.stderr
