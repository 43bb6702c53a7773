"""POST /orders/{id}/cancel."""

import asyncio
from typing import Any

import httpx2
import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.domain.order import OrderId, OrderStatus
from ordergate.domain.user import UserId
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.api.http_client import (
    place_and_get_location,
    place_order,
    problem,
    register_new_user,
    resolve,
)
from tests.support.doubles import InstantPasswordHasher


async def test_cancelled_order_has_a_new_version(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    order = await place_and_get_location(client, alice)
    before = (await client.get(order, headers=alice)).json()
    cancelled = await client.post(f"{order}/cancel", headers=alice | {"If-Match": '"1"'})
    assert cancelled.status_code == 200
    assert cancelled.json() == before | {"status": "cancelled"}
    assert cancelled.headers["etag"] == '"2"'
    assert resolve(cancelled, cancelled.headers["content-location"]) == order
    read = await client.get(order, headers=alice | {"If-None-Match": '"1"'})
    assert (read.status_code, read.content) == (200, cancelled.content)
    assert read.headers["etag"] == '"2"'


async def test_shipped_order_is_not_cancelled(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    order = await place_and_get_location(client, alice)
    await client.post(f"{order}/cancel", headers=alice)
    again = await client.post(f"{order}/cancel", headers=alice)
    assert again.status_code == 409
    body = problem(again)
    assert body["type"] == "urn:problem-type:ordergate:invalid-transition"
    assert body["detail"] == "The order is cancelled, which is a final status."
    assert (await client.get(order, headers=alice)).headers["etag"] == '"2"'


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ('"2"', 412),
        ('W/"1"', 412),
        ('"01"', 412),
        ('""', 412),
        ('"2", "1"', 200),
        ("*", 200),
        ("1", 400),
        ("", 400),
        ('W/"1', 400),
    ],
)
async def test_cancel_requires_the_version_in_if_match(
    client: httpx2.AsyncClient, alice: dict[str, str], tags: str, status: int
) -> None:
    order = await place_and_get_location(client, alice)
    answer = await client.post(f"{order}/cancel", headers=alice | {"If-Match": tags})
    assert answer.status_code == status
    now = (await client.get(order, headers=alice)).json()["status"]
    assert now == ("cancelled" if status == 200 else "placed")
    if status == 412:
        name = "weak-entity-tag" if tags == 'W/"1"' else "order-changed"
        assert problem(answer)["type"] == f"urn:problem-type:ordergate:{name}"


async def test_parallel_cancels_of_one_version_succeed_once(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    order = await place_and_get_location(client, alice)
    seen = alice | {"If-Match": '"1"'}
    answers = await asyncio.gather(
        *(client.post(f"{order}/cancel", headers=seen) for _ in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 19]
    assert (await client.get(order, headers=alice)).headers["etag"] == '"2"'


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ((), 200),
        ((OrderStatus.PAID,), 200),
        ((OrderStatus.PAID, OrderStatus.SHIPPED), 409),
        ((OrderStatus.PAID, OrderStatus.SHIPPED, OrderStatus.DELIVERED), 409),
    ],
    ids=lambda value: str(value[-1]) if isinstance(value, tuple) and value else "",
)
async def test_order_is_cancelled_while_it_is_placed_or_paid(
    steps: tuple[OrderStatus, ...], status: int
) -> None:
    container = Container(
        settings=Settings(signing_secret="a secret of more than thirty-two bytes"),
        storage=InMemoryStorage(),
        hasher=InstantPasswordHasher(),
    )
    transport = httpx2.ASGITransport(create_app(container))
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        user = await register_new_user(client)
        order = (await place_order(client, user)).json()["id"]
        for step in steps:
            await container.advance_order()(OrderId(order), step, owner=UserId(1))
        answer: Any = await client.post(f"/orders/{order}/cancel", headers=user)
        assert answer.status_code == status
        lost = await client.post(f"/orders/{order}/cancel", headers=user | {"If-Match": '"99"'})
        assert lost.status_code == 412
