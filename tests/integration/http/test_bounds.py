"""Requests that are refused before they cost anything."""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.support.api.http_client import (
    TEA,
    TEAPOT,
    in_process_client,
    place_order,
    register_new_user,
)


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with await in_process_client() as client:
        yield client


JSON = {"Content-Type": "application/json"}


async def sent(client: httpx2.AsyncClient, body: str, path: str = "/users") -> tuple[int, str]:
    answer = await client.post(path, content=body, headers=JSON)
    return answer.status_code, answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"username": }', "The JSON body is broken at line 1, column 14: Expecting value."),
        ('{\n"a" 1}', "The JSON body is broken at line 2, column 5: Expecting ':' delimiter."),
        ("\ufeff{}", "The JSON body begins with a byte order mark; send it without."),
        ("[" * 100_000, "The JSON body is nested too deeply."),
        (f'{{"a": {"9" * 5_000}}}', "A number of the JSON body is too long."),
        (
            json.dumps({f"k{i}": 1 for i in range(33)}),
            "An object of the JSON body must have at most 32 members.",
        ),
    ],
    ids=["no value", "no colon", "mark", "nested", "long number", "many members"],
)
async def test_unreadable_body_is_reported_with_its_position(
    client: httpx2.AsyncClient, body: str, detail: str
) -> None:
    assert await sent(client, body) == (400, detail)


async def test_missing_token_is_reported_before_the_body_is_read(
    client: httpx2.AsyncClient,
) -> None:
    for body in ("{", "[" * 1_000, json.dumps(TEA)):
        status, detail = await sent(client, body, "/orders")
        assert status == 401
        assert detail.startswith("Send an access token")


@pytest.mark.parametrize("address", ["/login", "/revoke"])
async def test_form_is_limited(client: httpx2.AsyncClient, address: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    details = [
        (await client.post(address, content=b"a=" + b"x" * size, headers=headers)).json()["detail"]
        for size in (65_534, 65_535)
    ]
    assert details[0].startswith("The form field")
    assert details[1] == "A form must have at most 65536 bytes."


async def test_parameters_are_limited(client: httpx2.AsyncClient) -> None:
    user = await register_new_user(client)
    many = "&".join(f"p{i}=1" for i in range(1_000))
    answer = await client.get(f"/orders?{many}", headers=user)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "query has more than 32 parameters"


async def test_invalid_status_is_reported_with_the_valid_ones(
    client: httpx2.AsyncClient,
) -> None:
    user = await register_new_user(client)
    answer = await client.get("/orders?status=PLACED", headers=user)
    assert answer.json()["errors"] == [
        {
            "in": "query",
            "name": "status",
            "detail": "must be one of placed, paid, shipped, delivered, cancelled",
        }
    ]


@pytest.mark.parametrize(
    ("order", "name", "detail"),
    [
        ([], "", "must be an object"),
        (TEA | {"lines": {}}, "lines", "must be a list"),
        (TEA | {"lines": ["tea"]}, "lines.0", "must be an object"),
        (
            TEA | {"lines": [TEAPOT | {"unit_price": "-1"}]},
            "lines.0.unit_price",
            "must be a plain decimal such as 64.00",
        ),
    ],
)
async def test_invalid_order_is_reported_in_terms_of_json(
    client: httpx2.AsyncClient, order: object, name: str, detail: str
) -> None:
    user = await register_new_user(client)
    answer = await client.post("/orders", json=order, headers=user)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"in": "body", "name": name, "detail": detail}]


async def test_oversized_content_length_is_refused_before_the_handler_runs(
    client: httpx2.AsyncClient,
) -> None:
    user = await register_new_user(client)
    address = (await place_order(client, user)).headers["Location"]
    answer = await client.post(f"{address}/cancel", headers=user, content=b"x" * 270_000)
    assert answer.status_code == 413
    assert (await client.get(address, headers=user)).json()["status"] == "placed"


@pytest.mark.parametrize("path", ["/livez", "/order", "/docs"])
async def test_oversized_content_length_of_a_get_is_refused(
    client: httpx2.AsyncClient, path: str
) -> None:
    answer = await client.request("GET", path, content=b"x" * 270_000)
    assert answer.status_code == 413


async def test_weak_tags_are_reported_apart_from_a_changed_version(
    client: httpx2.AsyncClient,
) -> None:
    user = await register_new_user(client)
    placed = await place_order(client, user)
    weak = {"If-Match": f"W/{placed.headers['ETag']}"}
    answer = await client.post(f"{placed.headers['Location']}/cancel", headers=user | weak)
    assert answer.status_code == 412
    assert answer.json()["type"].endswith(":weak-entity-tag")
    both = {"If-Match": f"W/{placed.headers['ETag']}, {placed.headers['ETag']}"}
    answer = await client.post(f"{placed.headers['Location']}/cancel", headers=user | both)
    assert answer.status_code == 200
