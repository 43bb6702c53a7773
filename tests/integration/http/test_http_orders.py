"""Orders placed, read and cancelled: in process on memory, and through a real server on SQLite."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.domain.order import MAX_NAME_LENGTH, MAX_SKU_LENGTH, OrderId, OrderStatus
from ordergate.domain.user import UserId
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.command import PASSWORD
from tests.support.doubles import InstantPasswordHasher, SettableClock
from tests.support.http_client import (
    CUPS,
    TEA,
    TEAPOT,
    count_orders,
    place_and_get_location,
    place_order,
    problem,
    register_new_user,
    sign_in,
)
from tests.support.oidc_issuer import AUDIENCE, running_issuer


def first_answer(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return an answer without the fields that differ for every request."""
    volatile = {"date", "x-request-id"}
    headers = [(name, value) for name, value in answer.headers.items() if name not in volatile]
    return answer.status_code, answer.content, headers


# Place


async def test_placed_order_is_answered_with_its_location(
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    answer = await place_order(client, alice)
    assert answer.status_code == 201
    body = answer.json()
    assert 2**52 <= body["id"] < 2**53
    assert answer.headers["location"] == f"/orders/{body['id']}"
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


async def test_largest_order_fits(client: httpx.AsyncClient, alice: dict[str, str]) -> None:
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
    client: httpx.AsyncClient, alice: dict[str, str], order: object, names: set[str]
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
    client: httpx.AsyncClient, alice: dict[str, str], written: str, quantity: int
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
    client: httpx.AsyncClient, alice: dict[str, str], written: str
) -> None:
    answer = await place_quantity(client, alice, written)
    assert answer.status_code == 422
    errors = problem(answer)["errors"]
    assert isinstance(errors, list)
    assert [error["name"] for error in errors] == ["lines.0.quantity"]


async def test_order_repeated_with_a_float_is_the_same_order(
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    first = await place_quantity(client, alice, "2", Idempotency_Key="tea")
    again = await place_quantity(client, alice, "2.0", Idempotency_Key="tea")
    assert first_answer(again) == first_answer(first)


async def place_quantity(
    client: httpx.AsyncClient, user: Mapping[str, str], written: str, **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    line = TEAPOT | {"quantity": "QUANTITY"}
    content = json.dumps(TEA | {"lines": [line]}).replace('"QUANTITY"', written)
    media_type = {"Content-Type": "application/json"}
    return await client.post("/orders", content=content, headers={**user, **media_type, **named})


async def test_name_with_invalid_text_is_refused(
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    content = (
        b'{"currency":"EUR","lines":[{"sku":"\\ud800","name":"x","quantity":1,"unit_price":"1"}]}'
    )
    media_type = {"Content-Type": "application/json"}
    answer = await client.post("/orders", content=content, headers=alice | media_type)
    assert answer.status_code == 422
    problem(answer)


async def test_many_wrong_lines_get_a_short_answer(
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    answer = await place_order(client, alice, {"currency": "JPY", "lines": [TEAPOT] * 100})
    errors = problem(answer)["errors"]
    assert isinstance(errors, list)
    assert [error["name"] for error in errors] == [f"lines.{i}" for i in range(8)]


async def test_oversized_total_is_reported(
    client: httpx.AsyncClient, alice: dict[str, str]
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
    client: httpx.AsyncClient,
    alice: dict[str, str],
    content: bytes,
    media_type: str,
    status: int,
) -> None:
    headers = alice | {"Content-Type": media_type}
    answer = await client.post("/orders", content=content, headers=headers)
    assert answer.status_code == status
    problem(answer)


# Place once


async def test_repeat_gets_the_first_answer_byte_for_byte(
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    first = await place_order(client, alice, Idempotency_Key='"tea"')
    again = await place_order(client, alice, Idempotency_Key="tea")
    assert first_answer(again) == first_answer(first)
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    cancelled = await client.post(first.headers["location"] + "/cancel", headers=alice)
    assert cancelled.status_code == 200
    after = await place_order(client, alice, Idempotency_Key="tea")
    assert first_answer(after) == first_answer(first)
    assert await count_orders(client, alice) == 1


async def test_key_with_another_body_is_refused(
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    await place_order(client, alice, Idempotency_Key="tea")
    for other in (TEA | {"currency": "USD"}, TEA | {"lines": [CUPS, TEAPOT]}):
        answer = await place_order(client, alice, other, Idempotency_Key="tea")
        assert answer.status_code == 422
        assert problem(answer)["type"] == "urn:problem-type:ordergate:idempotency-key-reused"
    assert await count_orders(client, alice) == 1


async def test_refused_body_does_not_use_the_key(
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    refused = await place_order(client, alice, TEA | {"lines": []}, Idempotency_Key="tea")
    assert refused.status_code == 422
    assert (await place_order(client, alice, Idempotency_Key="tea")).status_code == 201


async def test_requests_without_a_key_each_place_an_order(
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    assert await place_and_get_location(client, alice) != await place_and_get_location(
        client, alice
    )


async def test_idempotency_key_belongs_to_its_owner(
    client: httpx.AsyncClient, alice: dict[str, str], bob: dict[str, str]
) -> None:
    hers = await place_order(client, alice, Idempotency_Key="tea")
    his = await place_order(client, bob, TEA | {"lines": [CUPS]}, Idempotency_Key="tea")
    assert (hers.status_code, his.status_code) == (201, 201)
    assert hers.json()["id"] != his.json()["id"]
    assert (await client.get(his.headers["location"], headers=alice)).status_code == 404


@pytest.mark.parametrize("value", ['""', '"a', "a b", "x" * 256, '"é"'])
async def test_malformed_key_is_refused_and_nothing_is_placed(
    client: httpx.AsyncClient, alice: dict[str, str], value: str
) -> None:
    headers = [*alice.items(), ("Idempotency-Key", value.encode().decode("latin-1"))]
    raw = [(name.encode(), text.encode("latin-1")) for name, text in headers]
    answer = await client.post("/orders", json=TEA, headers=raw)
    assert answer.status_code == 400
    assert problem(answer)["type"] == "urn:problem-type:ordergate:invalid-header"
    assert await count_orders(client, alice) == 0


async def test_repeated_idempotency_key_is_refused(
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    headers = [*alice.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    answer = await client.post("/orders", json=TEA, headers=headers)
    assert answer.status_code == 400
    assert await count_orders(client, alice) == 0


async def test_parallel_requests_with_one_key_place_one_order(
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    answers = await asyncio.gather(
        *(place_order(client, alice, Idempotency_Key="tea") for _ in range(50))
    )
    assert len({first_answer(answer)[:2] for answer in answers}) == 1
    assert {answer.status_code for answer in answers} == {201}
    assert await count_orders(client, alice) == 1


async def test_key_expires_when_the_setting_says() -> None:
    clock = SettableClock()
    container = Container(
        settings=Settings(
            signing_secret="a secret of more than thirty-two bytes",
            idempotency_seconds=60,
            access_token_seconds=900,
        ),
        storage=InMemoryStorage(),
        hasher=InstantPasswordHasher(),
        clock=clock,
    )
    transport = httpx.ASGITransport(create_app(container))
    async with httpx.AsyncClient(transport=transport, base_url="http://in.process") as client:
        user = await register_new_user(client)
        first = await place_order(client, user, Idempotency_Key="tea")
        clock.advance(seconds=59)
        assert (await place_order(client, user, Idempotency_Key="tea")).content == first.content
        clock.advance(seconds=1)
        other = await place_order(client, user, TEA | {"lines": [CUPS]}, Idempotency_Key="tea")
        assert other.status_code == 201
        assert await count_orders(client, user) == 2


async def test_external_users_place_orders() -> None:
    with running_issuer() as issuer:
        settings = Settings(jwks_url=issuer.url, issuer=issuer.name, audience=AUDIENCE)
        app = create_app(Container(settings=settings, storage=InMemoryStorage()))
        token = issuer.token(scope="orders:read orders:write")
        user = {"Authorization": f"Bearer {token}"}
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://in.process"
            ) as client,
        ):
            order = await place_and_get_location(client, user)
            assert await count_orders(client, user) == 1
            cancelled = await client.post(f"{order}/cancel", headers=user)
            assert cancelled.json()["status"] == "cancelled"
            reader = {"Authorization": f"Bearer {issuer.token()}"}
            assert (await place_order(client, reader)).status_code == 403


# Read, if it is new


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
    client: httpx.AsyncClient, alice: dict[str, str], pattern: str, tags: str, status: int
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
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    order = await place_and_get_location(client, alice)
    twice = [*alice.items(), ("If-None-Match", '"9"'), ("If-None-Match", '"1"')]
    assert (await client.get(order, headers=twice)).status_code == 304
    twice = [*alice.items(), ("If-Match", '"9"'), ("If-Match", '"1"')]
    assert (await client.post(f"{order}/cancel", headers=twice)).status_code == 200


# Cancel


async def test_cancelled_order_has_a_new_version(
    client: httpx.AsyncClient, alice: dict[str, str]
) -> None:
    order = await place_and_get_location(client, alice)
    before = (await client.get(order, headers=alice)).json()
    cancelled = await client.post(f"{order}/cancel", headers=alice | {"If-Match": '"1"'})
    assert cancelled.status_code == 200
    assert cancelled.json() == before | {"status": "cancelled"}
    assert cancelled.headers["etag"] == '"2"'
    assert cancelled.headers["content-location"] == order
    read = await client.get(order, headers=alice | {"If-None-Match": '"1"'})
    assert (read.status_code, read.content) == (200, cancelled.content)
    assert read.headers["etag"] == '"2"'


async def test_shipped_order_is_not_cancelled(
    client: httpx.AsyncClient, alice: dict[str, str]
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
    client: httpx.AsyncClient, alice: dict[str, str], tags: str, status: int
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
    client: httpx.AsyncClient, alice: dict[str, str]
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
    transport = httpx.ASGITransport(create_app(container))
    async with httpx.AsyncClient(transport=transport, base_url="http://in.process") as client:
        user = await register_new_user(client)
        order = (await place_order(client, user)).json()["id"]
        for step in steps:
            await container.advance_order()(OrderId(order), step, owner=UserId(1))
        answer: Any = await client.post(f"/orders/{order}/cancel", headers=user)
        assert answer.status_code == status
        lost = await client.post(f"/orders/{order}/cancel", headers=user | {"If-Match": '"99"'})
        assert lost.status_code == 412


# Scopes


@pytest.mark.parametrize(
    ("scope", "method", "address", "needed"),
    [
        ("orders:read", "POST", "/orders", "orders:write"),
        ("orders:read", "POST", "/orders/1/cancel", "orders:write"),
        ("orders:write", "GET", "/orders", "orders:read"),
        ("account", "GET", "/orders/1", "orders:read"),
    ],
)
async def test_each_operation_needs_its_scope(
    client: httpx.AsyncClient, scope: str, method: str, address: str, needed: str
) -> None:
    form = {"username": "user1", "password": PASSWORD, "scope": scope}
    token = (await client.post("/login", data=form)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = await client.request(
        method, address, headers=headers, json=TEA if address == "/orders" else None
    )
    assert answer.status_code == 403
    assert problem(answer)["scope"] == needed


async def test_cors_allows_a_configured_origin_to_place_and_cancel(
    client: httpx.AsyncClient,
) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,if-match",
    }
    assert (await client.options("/orders", headers=asked)).status_code == 200
    user = await sign_in(client) | {"Origin": "https://shop.example"}
    exposed = (await client.get("/orders", headers=user)).headers["access-control-expose-headers"]
    assert {"ETag", "Link", "Location"} <= set(exposed.split(", "))


async def test_product_name_is_accepted_in_every_script(
    client: httpx.AsyncClient, alice: dict[str, str]
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
    client: httpx.AsyncClient, alice: dict[str, str], field: str, text: str, detail: str
) -> None:
    lines = [TEAPOT, CUPS | {field: text}]
    answer = await place_order(client, alice, {"currency": "EUR", "lines": lines})
    flaw = {"in": "body", "name": "lines.1", "detail": f"{detail}, which is not allowed."}
    assert problem(answer)["errors"] == [flaw]
