"""GET /orders/{id} and GET /order: read your own order."""

import httpx2
import pytest

from ordergate.domain.user import MAX_ID as MAX
from tests.support.api.http_client import place_and_get_location, place_order, problem, sign_in


@pytest.mark.parametrize("address", ["/order?id=1", "/orders/1"])
async def test_owner_reads_the_order(client: httpx2.AsyncClient, address: str) -> None:
    response = await client.get(address, headers=await sign_in(client))
    assert response.status_code == 200
    assert response.headers["cache-control"] == "private, no-cache, no-transform"
    assert response.headers["vary"] == "Authorization, Origin"
    assert response.headers["etag"] == '"1"'
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "id": 1,
        "status": "paid",
        "placed_at": "2026-01-01T09:00:01Z",
        "currency": "EUR",
        "total": "69.60",
        "lines": [
            {"sku": "TEA-SENCHA-100", "name": "Sencha, 100 g", "quantity": 2, "unit_price": "9.80"},
            {"sku": "CUP-PORCELAIN", "name": "Porcelain cup", "quantity": 4, "unit_price": "12.50"},
        ],
    }


@pytest.mark.parametrize("pattern", ["/order?id={}", "/orders/{}"])
async def test_order_of_another_owner_is_answered_like_a_missing_one(
    client: httpx2.AsyncClient, pattern: str
) -> None:
    headers = await sign_in(client) | {"X-Request-ID": "the-same"}
    answers = [
        await client.get(pattern.format(order_id), headers=headers) for order_id in (2, 999, MAX)
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple((k, v) for k, v in a.headers.items() if k != "date") for a in answers}) == 1
    assert problem(answers[0])["detail"] == "You have no order with this id."


async def test_users_read_their_own_orders_alone(client: httpx2.AsyncClient) -> None:
    for number in (1, 2, 3):
        headers = await sign_in(client, f"user{number}")
        readable = [
            order_id
            for order_id in range(1, 31)
            if (await client.get(f"/orders/{order_id}", headers=headers)).status_code == 200
        ]
        assert readable == list(range(number, 31, 3))


BAD_IDS = [
    "0", "-1", "+1", "01", "1.0", "1e3", "0x1", "1_0", " 1", "1 ", "%201", "%00", "1%00",
    "%ED%A0%80", "true", "null", "abc", "%D9%A1", str(MAX + 1), "9" * 5000, "1%0A", "[1]", "1,2",
]  # fmt: skip


@pytest.mark.parametrize("order_id", [*BAD_IDS, ""])
async def test_invalid_order_id_is_named(client: httpx2.AsyncClient, order_id: str) -> None:
    response = await client.get(f"/order?id={order_id}", headers=await sign_in(client))
    assert response.status_code == 422
    detail = "must be a whole number from 1 to 9223372036854775807"
    body = problem(response)
    assert body["errors"] == [{"in": "query", "name": "id", "detail": detail}]
    assert body["detail"] == f"id {detail}"


@pytest.mark.parametrize("order_id", [each for each in BAD_IDS if each != "1%0A"])
async def test_order_id_in_the_path_has_the_same_rules(
    client: httpx2.AsyncClient, order_id: str
) -> None:
    response = await client.get(f"/orders/{order_id}", headers=await sign_in(client))
    assert response.status_code == 422
    errors = problem(response)["errors"]
    assert isinstance(errors, list)
    assert [(error["in"], error["name"]) for error in errors] == [("path", "id")]


async def test_path_that_ends_in_a_line_feed_is_not_found(client: httpx2.AsyncClient) -> None:
    response = await client.get("/orders/1%0A", headers=await sign_in(client))
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("/order", ["id"]),
        ("/order?Id=1", ["Id"]),
        ("/order?id=1&id=1", ["id"]),
        ("/order?id=1&page=2", ["page"]),
        ("/orders/1?id=1", ["id"]),
        ("/order?id=1&access_token=x", ["access_token"]),
        ("/livez?x", ["x"]),
    ],
)
async def test_missing_repeated_or_misspelt_parameter_is_named(
    client: httpx2.AsyncClient, address: str, names: list[str]
) -> None:
    response = await client.get(address, headers=await sign_in(client))
    assert response.status_code == 422
    errors = problem(response)["errors"]
    assert isinstance(errors, list)
    assert sorted({error["name"] for error in errors}) == names


async def test_long_value_is_not_repeated(client: httpx2.AsyncClient) -> None:
    response = await client.get(f"/order?id={'7' * 3000}", headers=await sign_in(client))
    assert len(response.content) < 500


async def test_many_wrong_parameters_get_a_short_answer(client: httpx2.AsyncClient) -> None:
    query = "&".join(f"x{i}=1" for i in range(30))
    response = await client.get(f"/order?{query}", headers=await sign_in(client))
    assert response.status_code == 422
    errors = problem(response)["errors"]
    assert isinstance(errors, list)
    assert [error["name"] for error in errors] == [f"x{i}" for i in range(8)]


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ('"1"', 304),
        ('W/"1"', 304),
        ("*", 304),
        ('"2", "1"', 304),
        ('"2"', 200),
        ('"01"', 200),
        ("1", 400),
        ("", 400),
        ('"1', 400),
        ('*, "1"', 400),
    ],
)
@pytest.mark.parametrize("pattern", ["/orders/{}", "/order?id={}"])
async def test_read_is_304_when_the_client_has_the_current_version(
    client: httpx2.AsyncClient, alice: dict[str, str], pattern: str, tags: str, status: int
) -> None:
    address = pattern.format((await place_order(client, alice)).json()["id"])
    answer = await client.get(address, headers=alice | {"If-None-Match": tags})
    assert answer.status_code == status
    if status == 304:
        assert answer.content == b""
        assert answer.headers["etag"] == '"1"'
        assert answer.headers["cache-control"] == "private, no-cache, no-transform"
        assert "Authorization" in answer.headers["vary"]
        assert "content-type" not in answer.headers
    if status == 400:
        assert problem(answer)["type"] == "urn:problem-type:ordergate:invalid-header"


async def test_repeated_conditions_are_one_list(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    order = await place_and_get_location(client, alice)
    twice = [*alice.items(), ("If-None-Match", '"9"'), ("If-None-Match", '"1"')]
    assert (await client.get(order, headers=twice)).status_code == 304
    twice = [*alice.items(), ("If-Match", '"9"'), ("If-Match", '"1"')]
    assert (await client.post(f"{order}/cancel", headers=twice)).status_code == 200
