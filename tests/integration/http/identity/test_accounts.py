"""Accounts: register, read, change the password and close."""

import json
from pathlib import Path

import httpx2
import pytest

from tests.support.api.identity_client import application, bearer, refresh, serving, sign_in
from tests.support.program.command import NEW_PASSWORD, PASSWORD
from tests.support.program.server import Start


async def test_account_is_registered_read_changed_and_closed(client: httpx2.AsyncClient) -> None:
    new = {"username": "Ｂob", "password": PASSWORD}
    opened = await client.post("/users", json=new)
    assert opened.status_code == 201
    assert opened.headers["location"] == "me"
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
    async with httpx2.AsyncClient(base_url=server.url) as client:
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
    client: httpx2.AsyncClient, new: object, status: int, words: str
) -> None:
    answer = await client.post("/users", json=new)
    assert answer.status_code == status
    assert words in json.dumps(answer.json())
    assert PASSWORD not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b'{"username":"\\ud800","password":"x"}', b"\xff"])
async def test_malformed_json_is_reported(client: httpx2.AsyncClient, body: bytes) -> None:
    answer = await client.post("/users", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_body_requires_the_json_content_type(
    client: httpx2.AsyncClient, media_type: str | None
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
    client: httpx2.AsyncClient, body: str
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
