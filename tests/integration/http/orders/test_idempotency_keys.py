"""Idempotency-Key: a repeated request places one order."""

import asyncio

import httpx2
import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.api.http_client import (
    CUPS,
    TEA,
    TEAPOT,
    count_orders,
    first_answer,
    place_and_get_location,
    place_order,
    problem,
    register_new_user,
)
from tests.support.doubles import InstantPasswordHasher, SettableClock
from tests.support.tokens.oidc_issuer import AUDIENCE, running_issuer


async def test_repeat_gets_the_first_answer_byte_for_byte(
    client: httpx2.AsyncClient, alice: dict[str, str]
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
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    await place_order(client, alice, Idempotency_Key="tea")
    for other in (TEA | {"currency": "USD"}, TEA | {"lines": [CUPS, TEAPOT]}):
        answer = await place_order(client, alice, other, Idempotency_Key="tea")
        assert answer.status_code == 422
        assert problem(answer)["type"] == "urn:problem-type:ordergate:idempotency-key-reused"
    assert await count_orders(client, alice) == 1


async def test_refused_body_does_not_use_the_key(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    refused = await place_order(client, alice, TEA | {"lines": []}, Idempotency_Key="tea")
    assert refused.status_code == 422
    assert (await place_order(client, alice, Idempotency_Key="tea")).status_code == 201


async def test_requests_without_a_key_each_place_an_order(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    assert await place_and_get_location(client, alice) != await place_and_get_location(
        client, alice
    )


async def test_idempotency_key_belongs_to_its_owner(
    client: httpx2.AsyncClient, alice: dict[str, str], bob: dict[str, str]
) -> None:
    hers = await place_order(client, alice, Idempotency_Key="tea")
    his = await place_order(client, bob, TEA | {"lines": [CUPS]}, Idempotency_Key="tea")
    assert (hers.status_code, his.status_code) == (201, 201)
    assert hers.json()["id"] != his.json()["id"]
    assert (await client.get(his.headers["location"], headers=alice)).status_code == 404


@pytest.mark.parametrize("value", ['""', '"a', "a b", "x" * 256, '"é"'])
async def test_malformed_key_is_refused_and_nothing_is_placed(
    client: httpx2.AsyncClient, alice: dict[str, str], value: str
) -> None:
    headers = [*alice.items(), ("Idempotency-Key", value.encode().decode("latin-1"))]
    raw = [(name.encode(), text.encode("latin-1")) for name, text in headers]
    answer = await client.post("/orders", json=TEA, headers=raw)
    assert answer.status_code == 400
    assert problem(answer)["type"] == "urn:problem-type:ordergate:invalid-header"
    assert await count_orders(client, alice) == 0


async def test_repeated_idempotency_key_is_refused(
    client: httpx2.AsyncClient, alice: dict[str, str]
) -> None:
    headers = [*alice.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    answer = await client.post("/orders", json=TEA, headers=headers)
    assert answer.status_code == 400
    assert await count_orders(client, alice) == 0


async def test_parallel_requests_with_one_key_place_one_order(
    client: httpx2.AsyncClient, alice: dict[str, str]
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
    transport = httpx2.ASGITransport(create_app(container))
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
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
            httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app), base_url="http://in.process"
            ) as client,
        ):
            order = await place_and_get_location(client, user)
            assert await count_orders(client, user) == 1
            cancelled = await client.post(f"{order}/cancel", headers=user)
            assert cancelled.json()["status"] == "cancelled"
            reader = {"Authorization": f"Bearer {issuer.token()}"}
            assert (await place_order(client, reader)).status_code == 403
