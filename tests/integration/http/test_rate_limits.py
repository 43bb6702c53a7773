"""Limits of requests by address and by user."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, WebSocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from ordergate.adapters.memory import InMemoryStorage
from ordergate.adapters.throttling.limits_rate_limiter import LimitsRateLimiter
from ordergate.application.ports.rate_limits import Allowance
from ordergate.entrypoints.config.loading import SettingsError, make_settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.application import Application
from ordergate.entrypoints.http.security import CurrentUser, OptionalUser
from ordergate.testing import authorize, create
from tests.support.api.http_client import TEA, problem
from tests.support.doubles import InstantPasswordHasher
from tests.support.program.command import PASSWORD

POLICIES = '"address";q=6;w=60, "client";q=3;w=60'
LIMITS: dict[str, Any] = {"requests_per_address": 6, "requests_per_client": 3}
FIELDS = {"ratelimit", "ratelimit-policy"}


def a_client(app: FastAPI, address: str = "192.0.2.1", **options: Any) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app, client=(address, 4711))
    return httpx2.AsyncClient(transport=transport, base_url="http://in.process", **options)


def remaining(answer: httpx2.Response) -> dict[str, int]:
    """Return what `RateLimit` says is left, by its policies."""
    assert answer.headers["ratelimit-policy"] == POLICIES
    left = {}
    for item in answer.headers["ratelimit"].split(", "):
        policy, available, seconds = item.split(";")
        assert 55 <= int(seconds.removeprefix("t=")) <= 60
        left[policy.strip('"')] = int(available.removeprefix("r="))
    return left


def refusal(answer: httpx2.Response, policy: str) -> Mapping[str, object]:
    """Return the problem of a refused request."""
    body = problem(answer)
    assert (answer.status_code, body["type"]) == (429, "urn:problem-type:ordergate:quota-exceeded")
    assert body["violated-policies"] == [policy]
    assert remaining(answer)[policy] == 0
    assert 55 <= int(answer.headers["retry-after"]) <= 60
    return body


async def test_requests_are_unlimited_by_default() -> None:
    app = create()
    assert isinstance(app, Application)
    assert "LimitedRequests" not in repr(app.surrounding)
    limiting = create(**LIMITS)
    assert isinstance(limiting, Application)
    assert "LimitedRequests" in repr(limiting.surrounding)
    async with a_client(app, headers=authorize(app)) as client:
        answers = [await client.get("/orders") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert not [answer for answer in answers if FIELDS & answer.headers.keys()]


async def test_requests_beyond_a_quota_are_refused_before_any_work() -> None:
    hasher = InstantPasswordHasher()
    settings = make_settings({"signing_secret": "x" * 32, "requests_per_address": 6})
    container = Container(settings=settings, storage=InMemoryStorage(), hasher=hasher)
    await container.seed_storage()(users=1, orders=1, password=PASSWORD)
    form = {"username": "user1", "password": PASSWORD}
    async with a_client(create_app(container)) as client:
        for _ in range(6):
            assert (await client.get("/orders", headers={"Authorization": "Bearer x"})).is_error
        verified = len(hasher.verified)
        answers = [
            await client.post("/login", data=form),
            await client.post("/users", json=form),
            await client.get("/orders", headers={"Authorization": "Bearer x"}),
            await client.get("/nothing"),
            await client.request("POST", "/orders", content=b"x" * 300_000),
        ]
    assert len(hasher.verified) == verified
    for answer in answers:
        assert answer.status_code == 429
        assert problem(answer)["violated-policies"] == ["address"]
        assert 55 <= int(answer.headers["retry-after"]) <= 60


async def test_user_is_limited_on_every_address_and_connection() -> None:
    app = create(**LIMITS)
    alice, bob = authorize(app, 1), authorize(app, 2)
    async with a_client(app) as here, a_client(app, "198.51.100.7") as there:
        assert remaining(await here.get("/orders", headers=alice)) == {"address": 5, "client": 2}
        assert remaining(await there.get("/orders", headers=alice)) == {"address": 5, "client": 1}
        answer = await there.get("/order?id=1", headers=alice)
        assert (answer.status_code, remaining(answer)) == (404, {"address": 4, "client": 0})
        body = refusal(await here.get("/orders", headers=alice), "client")
        assert body["detail"] == (
            "You have sent too many requests; wait as long as Retry-After says."
        )
        assert remaining(await here.get("/orders", headers=bob)) == {"address": 3, "client": 2}


async def test_quota_of_a_user_costs_a_verified_token() -> None:
    app = create(**LIMITS | {"requests_per_address": 100})
    async with a_client(app) as client:
        for headers in ({}, {"Authorization": "Bearer x"}):
            answer = await client.get("/orders", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["ratelimit"].startswith('"address";')
            assert "client" not in answer.headers["ratelimit"]
        reader = authorize(app, scopes=["account"])
        for _ in range(3):
            assert (await client.get("/orders", headers=reader)).status_code == 403
        assert (await client.get("/orders", headers=reader)).status_code == 429


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "POST", "url": "/orders", "content": b"{"},
        {"method": "POST", "url": "/orders", "json": {}},
        {"method": "POST", "url": "/orders", "json": TEA},
        {"method": "GET", "url": "/order?id=x"},
        {"method": "HEAD", "url": "/orders"},
        {"method": "GET", "url": "/mine"},
    ],
    ids=lambda request: f"{request['method']} {request['url']} {len(request)}",
)
async def test_request_counts_once_for_its_user(request_: dict[str, Any]) -> None:
    app = create(**LIMITS)

    @app.get("/mine")
    async def mine(user: CurrentUser, perhaps: OptionalUser) -> int:
        assert perhaps == user
        return user.id

    headers = {**authorize(app), "Content-Type": "application/json"}
    async with a_client(app, headers=headers) as client:
        for left in (2, 1, 0):
            assert remaining(await client.request(**request_))["client"] == left
        assert (await client.request(**request_)).status_code == 429


async def test_refused_request_has_no_effect() -> None:
    app = create(**LIMITS)
    await app.state.services.seed_storage()(users=1, orders=1, password=PASSWORD)
    async with a_client(app, headers=authorize(app)) as client:
        for _ in range(3):
            assert (await client.post("/orders", json=TEA)).status_code == 201
        refusal(await client.post("/orders", json=TEA), "client")
    storage: InMemoryStorage = app.state.services.storage()
    assert len(storage.tables.orders) == 4


async def test_health_checks_and_preflights_are_unlimited() -> None:
    app = create(**LIMITS, cors_origins="https://shop.example")
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
    async with a_client(app) as client:
        for _ in range(10):
            for path in ("/livez", "/readyz"):
                answer = await client.get(path)
                assert answer.status_code == 200
                assert not FIELDS & answer.headers.keys()
            assert (await client.options("/orders", headers=asked)).status_code == 200
        answer = await client.get("/nothing", headers=asked)
        assert remaining(answer) == {"address": 5}
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= {*exposed}


async def test_ipv6_network_counts_as_one_address() -> None:
    app = create(**LIMITS)
    for number in range(6):
        async with a_client(app, f"2001:db8::{number}") as client:
            assert remaining(await client.get("/nothing")) == {"address": 5 - number}
    async with a_client(app, "2001:db8::ffff") as client:
        refusal(await client.get("/nothing"), "address")
    async with a_client(app, "2001:db8:0:1::1") as client:
        assert (await client.get("/nothing")).status_code == 404


async def test_client_of_a_trusted_proxy_counts_by_its_own_address() -> None:
    app = create(**LIMITS, trusted_proxies="10.0.0.0/8")
    async with a_client(app, "10.0.0.9") as proxy, a_client(app, "203.0.113.9") as other:
        for number in range(10):
            forwarded = {"X-Forwarded-For": f"192.0.2.{number}"}
            assert remaining(await proxy.get("/nothing", headers=forwarded)) == {"address": 5}
            forged = await other.get("/nothing", headers=forwarded)
            assert forged.status_code == (404 if number < 6 else 429)


def test_websockets_are_counted() -> None:
    app = create(requests_per_address=3, requests_per_client=1)

    @app.websocket("/mine")
    async def mine(socket: WebSocket, user: CurrentUser) -> None:
        await socket.accept()
        await socket.send_json(user.id)

    client = TestClient(app)
    with client.websocket_connect("/mine", headers=authorize(app, 7)) as socket:
        assert socket.receive_json() == 7
    for user, policy in ((7, "client"), (8, None), (9, "address")):
        if policy is None:
            with client.websocket_connect("/mine", headers=authorize(app, user)) as socket:
                assert socket.receive_json() == user
            continue
        with pytest.raises(WebSocketDisconnect) as denial:
            client.websocket_connect("/mine", headers=authorize(app, user)).__enter__()
        answer: Any = denial.value
        assert answer.status_code == 429
        assert answer.json()["violated-policies"] == [policy]
        assert answer.headers["ratelimit-policy"] == '"address";q=3;w=60, "client";q=1;w=60'


async def test_routes_of_mounted_applications_are_limited() -> None:
    app, notes = create(**LIMITS), FastAPI()

    @notes.get("/livez")
    async def livez(user: CurrentUser) -> int:
        return user.id

    app.mount("/notes", notes)
    async with a_client(app, headers=authorize(app)) as client:
        for left in (2, 1, 0):
            assert remaining(await client.get("/notes/livez"))["client"] == left
        assert (await client.get("/notes/livez")).status_code == 429
        document = (await client.get("/notes/openapi.json")).json()
    assert document["paths"]["/livez"]["get"]["responses"]["429"]


async def test_limiter_of_an_adopter_decides() -> None:
    class Slow(LimitsRateLimiter):
        async def count_address(self, address: str) -> Allowance | None:
            allowance = await super().count_address(address)
            return allowance and replace(allowance, is_allowed=False, seconds=7)

    slow = Slow(per_address=6, per_client=3, window_seconds=60)
    app = create_app(
        Container(
            settings=make_settings({"signing_secret": "x" * 32}),
            storage=InMemoryStorage(),
            rate_limiter=slow,
        )
    )
    async with a_client(app) as client:
        answer = await client.get("/nothing")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize(
    ("limits", "limited"),
    [
        ({}, set[str]()),
        ({"requests_per_client": 3}, {"GET /orders", "DELETE /me"}),
        ({"requests_per_address": 6}, {"GET /orders", "DELETE /me", "POST /login", "GET /docs"}),
        (LIMITS, {"GET /orders", "DELETE /me", "POST /login", "GET /docs"}),
    ],
    ids=["none", "client", "address", "both"],
)
def test_document_describes_refusals_and_fields(limits: dict[str, Any], limited: set[str]) -> None:
    document = create(**limits).openapi()
    components = document["components"]
    for name in ("GET /orders", "DELETE /me", "POST /login", "GET /livez", "GET /readyz"):
        method, path = name.split()
        responses = document["paths"][path][method.lower()]["responses"]
        answer = responses.get("429", {})
        if "$ref" in answer:
            answer = components["responses"][answer["$ref"].rpartition("/")[2]]
        (content,) = answer.get("content", {"": {}}).values()
        examples = [each["value"] for each in content.get("examples", {}).values()]
        policies = [each["violated-policies"] for each in examples if "violated-policies" in each]
        assert bool(policies) is (name in limited), name
        is_counted = bool(limits) and path not in {"/livez", "/readyz"}
        success = next(each for status, each in responses.items() if status[0] == "2")
        assert ("RateLimit" in success.get("headers", {})) is is_counted, name
        assert ("RateLimit-Policy" in success.get("headers", {})) is is_counted
        if policies:
            assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= answer["headers"].keys()
            expected = {f"requests_per_{policy}" for (policy,) in policies}
            has_caller = "login" not in path
            assert expected == {
                limit for limit in limits if has_caller or limit == "requests_per_address"
            }
    assert ("RateLimit" in components.get("headers", {})) is bool(limits)


@pytest.mark.parametrize(
    ("name", "value", "bounds"),
    [
        ("requests_per_client", -1, "0 to 1000000000"),
        ("requests_per_address", 1_000_000_001, "0 to 1000000000"),
        ("request_window_seconds", 0, "1 to 86400"),
        ("request_window_seconds", 86_401, "1 to 86400"),
    ],
)
def test_limits_have_bounds(name: str, value: int, bounds: str) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(SettingsError, match=f"{name}: must be a whole number from {bounds}"):
        create(**settings)
