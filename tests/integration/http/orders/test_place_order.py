"""POST /orders: place an order."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from ordergate.domain.order import MAX_NAME_LENGTH, MAX_SKU_LENGTH
from tests.support.api.http_client import (
    CUPS,
    TEA,
    TEAPOT,
    count_orders,
    first_answer,
    place_order,
    problem,
)


async def test_placed_order_is_answered_with_its_location(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    answer = await place_order(client, alice)
    assert answer.status_code == 201
    body = answer.json()
    assert 2**52 <= body["id"] < 2**53
    assert answer.headers["location"] == f"orders/{body['id']}"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "private, no-cache, no-transform"
    assert "Authorization" in answer.headers["vary"]
    assert body == {
        "id": body["id"],
        "status": "placed",
        "placed_at": body["placed_at"],
        "currency": "EUR",
        "total": "114.00",
        "lines": [TEAPOT, CUPS | {"unit_price": "12.50"}],
    }
    now, then = datetime.now(UTC), datetime.fromisoformat(body["placed_at"])
    assert abs(now - then) < timedelta(minutes=1)
    read = await client.get(answer.headers["location"], headers=alice)
    assert (read.content, read.headers["etag"]) == (answer.content, '"1"')


async def test_largest_order_fits(client: httpx2.AsyncClient, alice: dict[str, str]) -> None:
    line = {
        "sku": "🫖" * MAX_SKU_LENGTH,
        "name": "🍵" * MAX_NAME_LENGTH,
        "quantity": 1_000_000,
        "unit_price": "1.00",
    }
    order = {"currency": "EUR", "lines": [line] * 100}
    answer = await place_order(client, alice, order)
    assert answer.status_code == 201
    assert answer.json()["lines"] == order["lines"]
    assert answer.json()["total"] == "100000000.00"


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ({}, {"currency", "lines"}),
        ([], {""}),
        (TEA | {"status": "delivered"}, {"status"}),
        (TEA | {"owner": 2}, {"owner"}),
        (TEA | {"currency": "eur"}, {"currency"}),
        (TEA | {"currency": "XXX"}, {"currency"}),
        (TEA | {"currency": None}, {"currency"}),
        (TEA | {"lines": []}, {"lines"}),
        (TEA | {"lines": [TEAPOT] * 101}, {"lines"}),
        (TEA | {"lines": {"0": TEAPOT}}, {"lines"}),
        (TEA | {"lines": [TEAPOT, CUPS | {"colour": "blue"}]}, {"lines.1.colour"}),
        *(
            (TEA | {"lines": [TEAPOT, CUPS | {"quantity": quantity}]}, {"lines.1.quantity"})
            for quantity in (
                True,
                "2",
                "2.0",
                1.5,
                0.0,
                -2.0,
                1_000_001.0,
                1e30,
                0,
                -1,
                1_000_001,
                10**30,
                None,
            )
        ),
        *(
            (TEA | {"lines": [TEAPOT | {"unit_price": price}]}, {"lines.0.unit_price"})
            for price in (64, 64.0, "64,00", "-1", "+1", "1e3", " 1", "1\n", "01", "١", "1.", "")
        ),
        (TEA | {"lines": [TEAPOT | {"unit_price": "1.005"}]}, {"lines.0"}),
        (TEA | {"lines": [TEAPOT | {"unit_price": "9" * 19}]}, {"lines.0"}),
        ({"currency": "JPY", "lines": [TEAPOT, CUPS]}, {"lines.0", "lines.1"}),
        (TEA | {"lines": [TEAPOT | {"sku": ""}]}, {"lines.0.sku"}),
        (TEA | {"lines": [TEAPOT | {"sku": "x" * 65}]}, {"lines.0.sku"}),
        (TEA | {"lines": [TEAPOT | {"sku": "a\0b"}]}, {"lines.0"}),
        (TEA | {"lines": [TEAPOT | {"name": "a\nb"}]}, {"lines.0"}),
        (TEA | {"lines": [TEAPOT | {"name": "\u202e"}]}, {"lines.0"}),
        (TEA | {"lines": [TEAPOT | {"name": "x" * 201}]}, {"lines.0.name"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value)[:60],
)
async def test_invalid_order_is_named_and_not_placed(
    client: httpx2.AsyncClient, alice: dict[str, str], order: object, names: set[str]
) -> None:
    answer = await place_order(client, alice, order)
    assert answer.status_code == 422
    errors = problem(answer)["errors"]
    assert isinstance(errors, list)
    assert {error["name"] for error in errors} == names
    assert {error["in"] for error in errors} == {"body"}
    assert await count_orders(client, alice) == 0


@pytest.mark.parametrize(
    ("written", "quantity"),
    [
        ("1.0", 1), ("2.000", 2), ("1e2", 100), ("1E+2", 100), ("2.5e1", 25), ("10e-1", 1),
        ("1000000.0", 1_000_000), ("1e6", 1_000_000), ("1." + "0" * 5_000, 1),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
async def test_place_order_accepts_every_way_to_write_an_integer(
    client: httpx2.AsyncClient, alice: dict[str, str], written: str, quantity: int
) -> None:
    answer = await place_quantity(client, alice, written)
    assert answer.status_code == 201
    assert [line["quantity"] for line in answer.json()["lines"]] == [quantity]
    assert f'"quantity":{quantity},' in answer.text


@pytest.mark.parametrize(
    "written",
    [
        "1.5", "1e-1", "1.0000000000000000000001", "0.99999999999999999999", "1e7", "1000001.0",
        "1e400", "-1e400", "1e999999999", "1e-999999999", "1e99999999999999999999999", "1.0e18",
        "1" + "0" * 4_000 + ".0", "-1.0", "0.0", "0e99", '"1.0"', "true",
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
async def test_place_order_refuses_a_quantity_that_is_no_integer_in_range(
    client: httpx2.AsyncClient, alice: dict[str, str], written: str
) -> None:
    answer = await place_quantity(client, alice, written)
    assert answer.status_code == 422
    errors = problem(answer)["errors"]
    assert isinstance(errors, list)
    assert [error["name"] for error in errors] == ["lines.0.quantity"]


async def test_order_repeated_with_a_float_is_the_same_order(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    first = await place_quantity(client, alice, "2", Idempotency_Key="tea")
    again = await place_quantity(client, alice, "2.0", Idempotency_Key="tea")
    assert first_answer(again) == first_answer(first)


async def place_quantity(
    client: httpx2.AsyncClient, user: Mapping[str, str], written: str, **headers: str
) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    line = TEAPOT | {"quantity": "QUANTITY"}
    content = json.dumps(TEA | {"lines": [line]}).replace('"QUANTITY"', written)
    media_type = {"Content-Type": "application/json"}
    return await client.post("/orders", content=content, headers={**user, **media_type, **named})


async def test_name_with_invalid_text_is_refused(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    content = (
        b'{"currency":"EUR","lines":[{"sku":"\\ud800","name":"x","quantity":1,"unit_price":"1"}]}'
    )
    media_type = {"Content-Type": "application/json"}
    answer = await client.post("/orders", content=content, headers=alice | media_type)
    assert answer.status_code == 422
    problem(answer)


async def test_many_wrong_lines_get_a_short_answer(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    answer = await place_order(client, alice, {"currency": "JPY", "lines": [TEAPOT] * 100})
    errors = problem(answer)["errors"]
    assert isinstance(errors, list)
    assert [error["name"] for error in errors] == [f"lines.{i}" for i in range(8)]


async def test_oversized_total_is_reported(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    line = TEAPOT | {"quantity": 1_000_000, "unit_price": "9" * 16}
    answer = await place_order(client, alice, TEA | {"lines": [line]})
    assert answer.status_code == 422
    assert problem(answer)["type"] == "urn:problem-type:ordergate:rule-broken"


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{", "application/json", 400),
        (b'{"currency":"EUR","currency":"USD"}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"currency":' + b"9" * 5_000 + b"}", "application/json", 400),
    ],
    ids=["no JSON", "half", "twice", "no UTF-8", "deep", "long number"],
)
async def test_body_of_another_shape_is_refused(
    client: httpx2.AsyncClient,
    alice: dict[str, str],
    content: bytes,
    media_type: str,
    status: int,
) -> None:
    headers = alice | {"Content-Type": media_type}
    answer = await client.post("/orders", content=content, headers=headers)
    assert answer.status_code == status
    problem(answer)


async def test_product_name_is_accepted_in_every_script(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    name = "Th\u00e9\u00a0: \u0646\u06cc\u200c \U0001f469\u200d\U0001f373 \U0001fadc"
    answer = await place_order(
        client, alice, {"currency": "EUR", "lines": [TEAPOT | {"name": name}]}
    )
    assert answer.status_code == 201, answer.text
    read = await client.get(answer.headers["location"], headers=alice)
    assert read.json()["lines"][0]["name"] == name


@pytest.mark.parametrize(
    ("field", "text", "detail"),
    [
        ("name", "Tea\tpot", "A product's name has U+0009 (a control character) at position 4"),
        ("name", "Tea\u2028", "A product's name has U+2028 (LINE SEPARATOR) at position 4"),
        ("sku", "P\u00a0", "A SKU has U+00A0 (NO-BREAK SPACE) at position 2"),
    ],
)
async def test_refused_character_is_named(
    client: httpx2.AsyncClient, alice: dict[str, str], field: str, text: str, detail: str
) -> None:
    lines = [TEAPOT, CUPS | {field: text}]
    answer = await place_order(client, alice, {"currency": "EUR", "lines": lines})
    flaw = {"in": "body", "name": "lines.1", "detail": f"{detail}, which is not allowed."}
    assert problem(answer)["errors"] == [flaw]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"lines": []}, "lines must have 1 or more items"),
        ({"lines": [TEAPOT] * 101}, "lines must have 100 or fewer items"),
        ({"lines": [TEAPOT | {"sku": ""}]}, "lines.0.sku must have 1 or more characters"),
        ({"lines": [TEAPOT | {"sku": "x" * 65}]}, "lines.0.sku must have 64 or fewer characters"),
        ({"lines": [TEAPOT | {"sku": 1}]}, "lines.0.sku must be text"),
        ({"lines": [TEAPOT | {"quantity": 0}]}, "lines.0.quantity must be at least 1"),
        ({"lines": [TEAPOT | {"quantity": 2**31}]}, "lines.0.quantity must be at most 1000000"),
        ({"lines": [TEAPOT | {"quantity": "1"}]}, "lines.0.quantity must be a whole number"),
        ({"lines": [TEAPOT | {"quantity": 1.5}]}, "lines.0.quantity must be a whole number"),
        ({"lines": [TEAPOT | {"size": 1}]}, "lines.0.size is unknown here; leave it out"),
        ({"lines": [1]}, "lines.0 must be an object"),
        ({"lines": {}}, "lines must be a list"),
    ],
)
async def test_mistake_in_a_body_is_described_in_the_words_of_json(
    client: httpx2.AsyncClient, alice: dict[str, str], change: dict[str, object], detail: str
) -> None:
    answer = await client.post("/orders", json=TEA | change, headers=alice)
    assert problem(answer)["detail"] == detail
