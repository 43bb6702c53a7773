"""Sessions, accounts and scopes as clients see them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.command import NEW_PASSWORD, PASSWORD, SECONDS, ordergate, wait_until
from tests.support.doubles import InstantPasswordHasher
from tests.support.server import Server, Start

CHEAP = {"BCRYPT_COST": 4}


def application(**settings: Any) -> httpx.AsyncClient:
    container = Container(
        settings=Settings(signing_secret="a secret of more than thirty-two bytes", **settings),
        storage=InMemoryStorage(),
        hasher=InstantPasswordHasher(),
    )
    transport = httpx.ASGITransport(create_app(container), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://in.process")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an application with immediate revocation and the user alice."""
    async with application(revocation="at-once") as client:
        await open_account(client)
        yield client


async def open_account(client: httpx.AsyncClient, name: str = "alice") -> None:
    answer = await client.post("/users", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 201, answer.text


async def sign_in(
    client: httpx.AsyncClient, username: str = "alice", password: str = PASSWORD, **more: str
) -> dict[str, Any]:
    form = {"username": username, "password": password, **more}
    answer = await client.post("/login", data=form)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def refresh(client: httpx.AsyncClient, token: str, **more: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, **more}
    return await client.post("/login", data=form)


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


# Refresh


async def test_refresh_has_the_same_answer_as_sign_in(client: httpx.AsyncClient) -> None:
    first = await sign_in(client)
    answer = await refresh(client, first["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json().keys() == first.keys()
    assert (await client.get("/me", headers=bearer(answer.json()))).status_code == 200


@pytest.mark.parametrize("token", ["x", "ogr_" + "A" * 43, "%00", "x" * 5000])
async def test_malformed_refresh_token_is_an_invalid_grant(
    client: httpx.AsyncClient, token: str
) -> None:
    answer = await refresh(client, token)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"
    assert answer.headers["cache-control"] == "no-store"


async def test_refresh_requires_a_token(client: httpx.AsyncClient) -> None:
    answer = await client.post("/login", data={"grant_type": "refresh_token", "username": "alice"})
    assert answer.status_code == 400
    assert answer.json()["error_description"] == "The form field refresh_token is missing."


async def test_more_scope_than_was_granted_is_an_invalid_scope(client: httpx.AsyncClient) -> None:
    tokens = await sign_in(client, scope="orders:read")
    answer = await refresh(client, tokens["refresh_token"], scope="account")
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_scope"


@pytest.mark.parametrize("workers", [1, 2])
async def test_parallel_refreshes_get_one_successor(
    tmp_path: Path, start: Start, workers: int
) -> None:
    server = serving(tmp_path, start, workers=workers)
    async with httpx.AsyncClient(base_url=server.url, timeout=SECONDS) as client:
        tokens = await sign_in(client, "user1")
        answers = await asyncio.gather(
            *(refresh(client, tokens["refresh_token"]) for _ in range(50))
        )
        assert [answer.status_code for answer in answers] == [200] * 50
        (successor,) = {answer.json()["refresh_token"] for answer in answers}
        assert (await refresh(client, successor)).status_code == 200


async def test_reuse_ends_the_session_although_the_answer_is_an_error(
    tmp_path: Path, start: Start
) -> None:
    server = serving(tmp_path, start, REFRESH_GRACE_SECONDS=0, REVOCATION="at-once")
    async with httpx.AsyncClient(base_url=server.url) as client:
        first = await sign_in(client, "user1")
        second = (await refresh(client, first["refresh_token"])).json()
        assert (await client.get("/me", headers=bearer(second))).status_code == 200
        assert (await refresh(client, first["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await client.get("/me", headers=bearer(second))).status_code == 401
        assert (await refresh(client, second["refresh_token"])).status_code == 400
    wait_until(lambda: "reuse_seen" in "".join(server.output))


# Ending sessions


def serving(tmp_path: Path, start: Start, workers: int = 1, **settings: object) -> Server:
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    seed = ["seed", "--users", 2, "--orders", 4]
    assert ordergate(*seed, cwd=tmp_path, PASSWORD=PASSWORD, **CHEAP).returncode == 0
    return start("serve", "--workers", workers, cwd=tmp_path, **CHEAP, **settings)


async def test_revocation_takes_effect_within_the_bound_in_every_worker(
    tmp_path: Path, start: Start
) -> None:
    """By two hosts, that is two servers on one storage, one of which has two workers."""
    bound = 2
    here = serving(tmp_path, start, REVOCATION=bound)
    there = start("serve", "--workers", 2, cwd=tmp_path, **CHEAP, REVOCATION=bound)
    unkept = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(limits=unkept) as client:

        async def statuses(server: Server, tokens: dict[str, Any]) -> set[int]:
            """Ask so often that every worker is sure to have answered."""
            headers, address = bearer(tokens), f"{server.url}/order?id=1"
            answers = [client.get(address, headers=headers) for _ in range(30)]
            return {answer.status_code for answer in await asyncio.gather(*answers)}

        client.base_url = httpx.URL(here.url)
        mine, other = await sign_in(client, "user1"), await sign_in(client, "user1")
        assert await statuses(here, mine) == await statuses(there, mine) == {200}
        assert (await client.post("/revoke", data={"token": mine["access_token"]})).is_success
        kept = time.monotonic() + bound
        while time.monotonic() < kept:
            assert await statuses(there, mine) <= {200, 401}
        assert await statuses(there, mine) == await statuses(here, mine) == {401}
        assert await statuses(there, other) == {200}


async def test_sessions_are_listed_and_ended_by_their_user(client: httpx.AsyncClient) -> None:
    await open_account(client, "bob")
    first, second = await sign_in(client, client_id="app"), await sign_in(client)
    bob = await sign_in(client, "bob")
    listed = (await client.get("/sessions", headers=bearer(second))).json()
    assert [(s["client_id"], s["current"]) for s in listed] == [
        ("first-party", True),
        ("app", False),
    ]
    assert listed[0]["scope"] == "account orders:read orders:write"
    assert listed[0]["started_at"].endswith("Z")
    address = f"/sessions/{listed[1]['id']}"
    assert (await client.delete(address, headers=bearer(bob))).status_code == 404
    answer = await client.delete(address, headers=bearer(second))
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.get("/me", headers=bearer(first))).status_code == 401
    assert (await client.delete(address, headers=bearer(second))).status_code == 404
    assert (await client.delete("/sessions/x", headers=bearer(second))).status_code == 422
    assert (await client.delete("/sessions", headers=bearer(second))).status_code == 204
    assert (await client.get("/me", headers=bearer(second))).status_code == 401
    assert (await client.get("/me", headers=bearer(bob))).status_code == 200


@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
async def test_revoked_token_is_refused(client: httpx.AsyncClient, kind: str) -> None:
    tokens = await sign_in(client)
    for token in (tokens[kind], tokens[kind], "of nobody"):
        answer = await client.post("/revoke", data={"token": token, "token_type_hint": "x"})
        assert (answer.status_code, answer.content) == (200, b"")
    assert (await client.get("/me", headers=bearer(tokens))).status_code == 401
    assert (await refresh(client, tokens["refresh_token"])).status_code == 400


async def test_token_of_another_client_is_not_revoked(client: httpx.AsyncClient) -> None:
    tokens = await sign_in(client, client_id="app")
    form = {"token": tokens["refresh_token"], "client_id": "other"}
    answer = await client.post("/revoke", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert (await refresh(client, tokens["refresh_token"])).status_code == 200


async def test_revoke_refuses_a_token_that_it_cannot_revoke() -> None:
    async with application(revocation="until-expiry") as client:
        await open_account(client)
        tokens = await sign_in(client)
        answer = await client.post("/revoke", data={"token": tokens["access_token"]})
        assert answer.status_code == 400
        assert answer.json()["error"] == "unsupported_token_type"
        assert (await client.post("/revoke", data={"token": tokens["refresh_token"]})).is_success
        assert (await refresh(client, tokens["refresh_token"])).status_code == 400
        assert (await client.get("/me", headers=bearer(tokens))).status_code == 200


async def test_revoke_requires_a_token(client: httpx.AsyncClient) -> None:
    answer = await client.post("/revoke", data={"token_type_hint": "x"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


# Accounts


async def test_account_is_registered_read_changed_and_closed(client: httpx.AsyncClient) -> None:
    new = {"username": "Ｂob", "password": PASSWORD}
    opened = await client.post("/users", json=new)
    assert opened.status_code == 201
    assert opened.headers["location"] == "/me"
    assert opened.json() == {"id": opened.json()["id"], "username": "bob"}
    here, there = await sign_in(client, "BOB"), await sign_in(client, "bob")
    assert (await client.get("/me", headers=bearer(here))).json() == opened.json()
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert (await client.put("/me/password", json=change, headers=bearer(here))).status_code == 204
    assert (await client.get("/me", headers=bearer(there))).status_code == 401
    assert (await refresh(client, here["refresh_token"])).status_code == 200
    confirmation = {"password": PASSWORD}
    refused = await client.request("DELETE", "/me", json=confirmation, headers=bearer(here))
    assert (refused.status_code, refused.json()["type"]) == (
        403,
        "urn:problem-type:ordergate:wrong-password",
    )
    confirmation = {"password": NEW_PASSWORD}
    closed = await client.request("DELETE", "/me", json=confirmation, headers=bearer(here))
    assert closed.status_code == 204
    assert (await client.get("/me", headers=bearer(here))).status_code == 401
    assert (await client.post("/users", json=new)).status_code == 201


async def test_account_with_open_orders_is_not_closed(tmp_path: Path, start: Start) -> None:
    server = serving(tmp_path, start)
    async with httpx.AsyncClient(base_url=server.url) as client:
        tokens = await sign_in(client, "user1")
        closed = await client.request(
            "DELETE", "/me", json={"password": PASSWORD}, headers=bearer(tokens)
        )
        assert (closed.status_code, closed.json()["type"]) == (
            409,
            "urn:problem-type:ordergate:orders-open",
        )


@pytest.mark.parametrize(
    ("new", "status", "words"),
    [
        ({"username": "ALICE", "password": PASSWORD}, 409, "taken"),
        ({"username": "a b", "password": PASSWORD}, 422, "no spaces"),
        ({"username": "bob", "password": "short"}, 422, "at least 15"),
        ({"username": "bob", "password": "passwordpassword"}, 422, "most common"),
        ({"username": "bob-the-builder", "password": "bob-the-builder!"}, 422, "little more than"),
        ({"username": "bob"}, 422, "password is missing"),
        ({"username": "bob", "password": PASSWORD, "admin": True}, 422, "admin"),
        ({"username": 5, "password": PASSWORD}, 422, "username"),
        ({"username": "bob", "password": "x" * 5000}, 422, "password"),
        (["bob"], 422, "body"),
    ],
)
async def test_invalid_registration_is_refused_with_a_reason(
    client: httpx.AsyncClient, new: object, status: int, words: str
) -> None:
    answer = await client.post("/users", json=new)
    assert answer.status_code == status
    assert words in json.dumps(answer.json())
    assert PASSWORD not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b'{"username":"\\ud800","password":"x"}', b"\xff"])
async def test_malformed_json_is_reported(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/users", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_body_requires_the_json_content_type(
    client: httpx.AsyncClient, media_type: str | None
) -> None:
    body = json.dumps({"username": "bob", "password": PASSWORD})
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await client.post("/users", content=body, headers=headers)
    assert answer.status_code == 415
    assert answer.json()["detail"] == "Send the body as application/json."


@pytest.mark.parametrize(
    "body",
    [
        '{"username":"bob","username":"mallory","password":"a pot of tea at four"}',
        '{"username":"bob","password":"a pot of tea at four","x":{"a":1,"a":2}}',
        '{"username":"bob","password":NaN}',
        "[" * 30_000,
    ],
    ids=lambda body: body[:30],
)
async def test_body_that_can_be_read_in_two_ways_is_refused(
    client: httpx.AsyncClient, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/users", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    form = {"username": "mallory", "password": "a pot of tea at four"}
    assert (await client.post("/login", data=form)).status_code == 400


async def test_registration_does_not_exist_when_it_is_disabled() -> None:
    async with application(sign_up=False) as client:
        new = {"username": "alice", "password": PASSWORD}
        assert (await client.post("/users", json=new)).status_code == 404
        assert "/users" not in (await client.get("/openapi.json")).json()["paths"]


# Throttle


async def test_sign_in_is_429_after_too_many_failures_whether_or_not_the_account_exists(
    client: httpx.AsyncClient,
) -> None:
    answers = []
    for name in ("alice", "nobody"):
        form = {"username": name, "password": "wrong"}
        for _ in range(10):
            assert (await client.post("/login", data=form)).status_code == 400
        answers.append(await client.post("/login", data=form, headers={"X-Request-ID": "the-same"}))
    assert {answer.status_code for answer in answers} == {429}
    assert len({answer.content for answer in answers}) == 1
    assert all(890 <= int(answer.headers["retry-after"]) <= 900 for answer in answers)


# Scopes


@pytest.mark.parametrize(
    ("scope", "method", "address", "needed"),
    [
        ("account", "GET", "/order?id=1", "orders:read"),
        ("orders:write", "GET", "/orders/1", "orders:read"),
        ("orders:read orders:write", "GET", "/me", "account"),
        ("orders:read", "GET", "/sessions", "account"),
        ("orders:read", "DELETE", "/sessions", "account"),
    ],
)
async def test_insufficient_scope_is_answered_with_the_missing_scope(
    client: httpx.AsyncClient, scope: str, method: str, address: str, needed: str
) -> None:
    tokens = await sign_in(client, scope=scope)
    assert tokens["scope"] == scope
    answer = await client.request(method, address, headers=bearer(tokens))
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == (
        f'Bearer error="insufficient_scope", scope="{needed}"'
    )
    assert answer.json()["type"] == "urn:problem-type:ordergate:insufficient-scope"


async def test_unsupported_method_is_answered_with_all_supported_ones(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.patch("/me")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET")


# Audit


async def test_identity_events_are_logged_in_one_line_each(tmp_path: Path, start: Start) -> None:
    server = serving(tmp_path, start, REFRESH_GRACE_SECONDS=0)
    async with httpx.AsyncClient(base_url=server.url) as client:
        client.headers["X-Request-ID"] = "audited"
        new = {"username": "carol", "password": PASSWORD}
        user_id = (await client.post("/users", json=new)).json()["id"]
        for _ in range(11):
            await client.post("/login", data={"username": "carol", "password": "wrong"})
        tokens = await sign_in(client, "user1")
        await refresh(client, tokens["refresh_token"])
        await refresh(client, tokens["refresh_token"])
        tokens = await sign_in(client, "user1")
        change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        await client.put("/me/password", json=change, headers=bearer(tokens))
        await client.delete("/sessions", headers=bearer(tokens))
    expected = [
        "account_opened",
        *["sign_in_refused"] * 10,
        "sign_in_throttled",
        "signed_in",
        "refreshed",
        "reuse_seen",
        "session_ended",
        "refresh_refused",
        "signed_in",
        "password_changed",
        "session_ended",
    ]

    def audited() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in server.output]
        return [line for line in lines if line["logger"] == "ordergate.audit"]

    wait_until(lambda: len(audited()) >= len(expected))
    assert [line["event"] for line in audited()] == expected
    for line in audited():
        assert line["address"] == "127.0.0.1"
        assert line["request_id"] == "audited"
        assert line["user_id"] in {1, user_id}
        assert line["level"] == "info"
    with_session = [line for line in audited() if "session_id" in line]
    assert len(with_session) == 8
