"""A server with two workers that reads orders from a standby."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from tests.support.api.http_client import TEA
from tests.support.databases.postgres import LaggingPair, execute
from tests.support.program.command import PASSWORD, error_line, ordergate
from tests.support.program.server import Server, Start

NAME = "served"


@pytest.fixture(scope="module")
def settings(lagging_pair: LaggingPair) -> Mapping[str, object]:
    """Return the settings of a service with an empty database."""
    create = f"CREATE DATABASE {NAME} TEMPLATE template0"
    asyncio.run(execute(lagging_pair.primary.url(), create))
    return {
        "DATABASE_URL": lagging_pair.primary.url(NAME),
        "READ_DATABASE_URL": lagging_pair.standby.url(NAME),
        "PASSWORD": PASSWORD,
        "BCRYPT_COST": 4,
    }


class Shop(NamedTuple):
    """A client that has signed in, and its server."""

    client: httpx2.Client
    server: Server

    def place(self, **headers: str) -> httpx2.Response:
        """Place an order; return the answer to it."""
        placed = self.client.post("/orders", json=TEA, headers=headers)
        assert placed.status_code == 201, placed.text
        return placed

    def read(self, order: httpx2.Response, token: str) -> int:
        """Read an order with a token; return the status."""
        headers = {"Consistency-Token": token}
        return self.client.get(f"/orders/{order.json()['id']}", headers=headers).status_code


@pytest.fixture
def shop(tmp_path: Path, start: Start, settings: Mapping[str, object]) -> Iterator[Shop]:
    for command in (["migrate"], ["users", "add", tmp_path.name]):
        done = ordergate(*command, cwd=tmp_path, **settings)
        assert done.returncode == 0, done.stderr
    server = start("serve", "--workers", 2, cwd=tmp_path, **settings)
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        answer = client.post("/login", data={"username": tmp_path.name, "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield Shop(client, server)


async def test_client_reads_what_it_has_written(shop: Shop, lagging_pair: LaggingPair) -> None:
    async with lagging_pair.paused():
        order = await asyncio.to_thread(shop.place)
        token = order.headers["Consistency-Token"]
        for _ in range(10):  # by both workers
            assert await asyncio.to_thread(shop.read, order, token) == 200
            assert await asyncio.to_thread(shop.read, order, "none") == 404
            assert await asyncio.to_thread(shop.read, order, "another") == 200


async def test_repeated_order_and_a_cancellation_have_tokens(
    shop: Shop, lagging_pair: LaggingPair
) -> None:
    key = {"Idempotency-Key": "8e03978e"}
    async with lagging_pair.paused():
        order = await asyncio.to_thread(shop.place, **key)
        again = await asyncio.to_thread(shop.place, **key)
        assert again.json() == order.json()
        assert await asyncio.to_thread(shop.read, order, again.headers["Consistency-Token"]) == 200
        cancelled = await asyncio.to_thread(
            shop.client.post, f"/orders/{order.json()['id']}/cancel"
        )
        token = {"Consistency-Token": cancelled.headers["Consistency-Token"]}
        page = await asyncio.to_thread(shop.client.get, "/orders", headers=token)
        assert [each["status"] for each in page.json()["orders"]] == ["cancelled"]


async def test_lost_standby_fails_no_read(shop: Shop, lagging_pair: LaggingPair) -> None:
    order = await asyncio.to_thread(shop.place)
    await lagging_pair.follow()
    await asyncio.to_thread(lagging_pair.standby.stop)
    try:
        for _ in range(20):
            assert await asyncio.to_thread(shop.read, order, "none") == 200
    finally:
        await asyncio.to_thread(lagging_pair.standby.start)
    lines = [json.loads(line) for line in shop.server.output if "read_database_left" in line]
    assert 1 <= len(lines) <= 2
    assert all(line["reason"].startswith("PostgreSQL: ") for line in lines)


def test_doctor_reads_from_the_standby(
    tmp_path: Path, settings: Mapping[str, object], lagging_pair: LaggingPair
) -> None:
    def find(**others: object) -> dict[str, str]:
        asked = ordergate("doctor", "--json", cwd=tmp_path, **{**settings, **others})
        (found,) = (each for each in json.loads(asked.stdout) if each["check"] == "read database")
        return {name: str(value) for name, value in found.items()}

    assert ordergate("migrate", cwd=tmp_path, **settings).returncode == 0
    asyncio.run(lagging_pair.follow())
    found = find()
    address = f"127.0.0.1:{lagging_pair.standby.port}/{NAME}"
    assert found["status"] == "ok"
    assert found["found"].startswith(f"the standby at {address} answers in ")
    found = find(READ_DATABASE_URL=settings["DATABASE_URL"])
    assert found["status"] == "warning"
    assert found["found"].startswith("PostgreSQL: no host is a standby at ")
    assert PASSWORD not in str(found)


def test_standby_needs_a_primary(tmp_path: Path) -> None:
    done = ordergate("migrate", cwd=tmp_path, READ_DATABASE_URL="postgresql://db2/orders")
    assert error_line(done) == (
        "ORDERGATE_READ_DATABASE_URL: needs a PostgreSQL database in ORDERGATE_DATABASE_URL; set"
        " that, or unset this one"
    )
