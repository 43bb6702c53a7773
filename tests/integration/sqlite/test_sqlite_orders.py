"""The cost of order lists on SQLite, and orders of parallel clients."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from sqlalchemy import Connection, Select

from ordergate.adapters.sql.repositories.order_statements import PAGE, PAGE_OF_STATUS
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.ports.orders import OrderQuery, Position
from ordergate.domain.order import OrderStatus
from tests.support.builders import ALICE, BOB, TEAPOT, an_order
from tests.support.program.command import CHEAP, PASSWORD, ordergate
from tests.support.program.server import Start

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
ORDERS = 20_000
LIMIT = 2


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "orders.db")
    await SqlStorage(database).migrate()
    yield database
    await database.close()


# The cost of a page


@pytest.mark.parametrize(
    ("query", "search"),
    [
        (PAGE, r"ix_orders_owner_id_placed_at_id \(owner_id=\? AND (.+)\)"),
        (
            PAGE_OF_STATUS,
            r"ix_orders_owner_id_status_placed_at_id \(owner_id=\? AND status=\? AND (.+)\)",
        ),
    ],
    ids=["any status", "one status"],
)
async def test_page_is_one_index_range_without_sorting(
    database: SqliteDatabase, query: Select[*tuple[Any, ...]], search: str
) -> None:
    def explain(connection: Connection) -> list[str]:
        compiled = query.compile(dialect=connection.dialect)
        values = tuple(None for _ in compiled.positiontup or ())
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)
        return [row[3] for row in plan]

    plan = await database.read(explain)
    assert not [step for step in plan if "TEMP B-TREE" in step]
    searches = [step for step in plan if " orders " in step or " order_lines " in step]
    orders, lines = searches
    found = re.fullmatch(f"SEARCH orders USING INDEX {search}", orders)
    assert found is not None, orders
    assert set(found[1].split(" AND ")) == {"(placed_at,id)<(?,?)", "placed_at>?"}
    assert lines == "SEARCH order_lines USING PRIMARY KEY (owner_id=? AND order_id=?) LEFT-JOIN"


@pytest.mark.parametrize("status", [None, OrderStatus.PAID])
async def test_page_10000_costs_the_same_as_page_1(
    database: SqliteDatabase, status: OrderStatus | None
) -> None:
    storage = SqlStorage(database)
    orders = [
        replace(an_order(i), placed_at=FIRST + timedelta(minutes=i // 3), lines=(TEAPOT,))
        for i in range(1, ORDERS + 1)
    ]
    others = [replace(order, owner=BOB.id) for order in orders[::10]]
    await storage.loader.load([ALICE, BOB], [*orders, *others])

    async def steps(before: Position | None, ids: list[int]) -> int:
        """Count SQLite's virtual machine instructions for a page of these orders."""
        counted = 0

        def count() -> int:
            nonlocal counted
            counted += 1
            return 0

        await database.read(lambda c: engine(c).set_progress_handler(count, 1))
        page = await storage.orders.list_owned(
            OrderQuery(status=status, before=before, limit=LIMIT), owner=ALICE.id
        )
        assert [order.id for order in page] == ids
        return counted

    last = orders[LIMIT]
    first_page = await steps(None, [ORDERS, ORDERS - 1])
    last_page = await steps(Position(last.placed_at, last.id), [2, 1])
    assert first_page > 0
    assert first_page / 1.5 < last_page < first_page * 1.5


def engine(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)


# Parallel clients


async def test_parallel_clients_place_every_order_once_through_two_workers(
    tmp_path: Path, start: Start
) -> None:
    """Each order is sent twice at the same moment, under one key."""
    seed: list[object] = ["seed", "--users", 4, "--orders", 0]
    for command in (["migrate"], seed):
        done = ordergate(*command, cwd=tmp_path, PASSWORD=PASSWORD, **CHEAP)
        assert done.returncode == 0, done.stderr
    server = start("serve", "--workers", 2, cwd=tmp_path, **CHEAP)
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=server.url, limits=limits, timeout=60) as client:
        users = [await signed_in(client, f"user{i}") for i in range(1, 5)]

        async def place(number: int) -> list[httpx2.Response]:
            answers: list[httpx2.Response] = []
            for i in range(3):
                line = {"sku": f"C{number}-{i}", "name": "Cup", "quantity": 1, "unit_price": "1"}
                order = {"currency": "EUR", "lines": [line]}
                headers = users[number % 4] | {"Idempotency-Key": f"{number}-{i}"}
                first, second = await asyncio.gather(
                    client.post("/orders", headers=headers, json=order),
                    client.post("/orders", headers=headers, json=order),
                )
                assert first.content == second.content
                answers.append(first)
            return answers

        answers = await asyncio.gather(*(place(number) for number in range(64)))
        placed = [answer for each in answers for answer in each]
        assert {answer.status_code for answer in placed} == {201}
        listed = [order for user in users for order in await list_orders(client, user)]
    assert sorted(listed, key=by_id) == sorted((answer.json() for answer in placed), key=by_id)
    assert len({order["lines"][0]["sku"] for order in listed}) == len(listed) == 192


def by_id(order: dict[str, Any]) -> int:
    number: int = order["id"]
    return number


async def signed_in(client: httpx2.AsyncClient, username: str) -> dict[str, str]:
    answer = await client.post("/login", data={"username": username, "password": PASSWORD})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def list_orders(client: httpx2.AsyncClient, user: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    following: str | None = "/orders?limit=30"
    while following:
        answer = await client.get(following, headers=user)
        found += answer.json()["orders"]
        following = answer.links.get("next", {}).get("url")
    return found
