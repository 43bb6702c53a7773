"""Sessions and POST /revoke: how sessions end."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.api.identity_client import (
    CHEAP,
    application,
    bearer,
    open_account,
    refresh,
    serving,
    sign_in,
)
from tests.support.program.server import Server, Start


async def test_revocation_takes_effect_within_the_bound_in_every_worker(
    tmp_path: Path, start: Start
) -> None:
    """Two servers on one storage are two hosts; one has two workers."""
    bound = 2
    here = serving(tmp_path, start, REVOCATION=bound)
    there = start("serve", "--workers", 2, cwd=tmp_path, **CHEAP, REVOCATION=bound)
    unkept = httpx2.Limits(max_keepalive_connections=0)
    async with httpx2.AsyncClient(limits=unkept) as client:

        async def statuses(server: Server, tokens: dict[str, Any]) -> set[int]:
            """Ask so often that every worker is sure to have answered."""
            headers, address = bearer(tokens), f"{server.url}/order?id=1"
            answers = [client.get(address, headers=headers) for _ in range(30)]
            return {answer.status_code for answer in await asyncio.gather(*answers)}

        client.base_url = httpx2.URL(here.url)
        mine, other = await sign_in(client, "user1"), await sign_in(client, "user1")
        assert await statuses(here, mine) == await statuses(there, mine) == {200}
        assert (await client.post("/revoke", data={"token": mine["access_token"]})).is_success
        kept = time.monotonic() + bound
        while time.monotonic() < kept:
            assert await statuses(there, mine) <= {200, 401}
        assert await statuses(there, mine) == await statuses(here, mine) == {401}
        assert await statuses(there, other) == {200}


async def test_sessions_are_listed_and_ended_by_their_user(client: httpx2.AsyncClient) -> None:
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


async def test_current_session_is_ended_without_its_id(client: httpx2.AsyncClient) -> None:
    other, this = await sign_in(client), await sign_in(client)
    answer = await client.delete("/sessions/current", headers=bearer(this))
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.get("/me", headers=bearer(this))).status_code == 401
    assert (await refresh(client, this["refresh_token"])).status_code == 400
    assert (await client.get("/me", headers=bearer(other))).status_code == 200


@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
async def test_revoked_token_is_refused(client: httpx2.AsyncClient, kind: str) -> None:
    tokens = await sign_in(client)
    for token in (tokens[kind], tokens[kind], "of nobody"):
        answer = await client.post("/revoke", data={"token": token, "token_type_hint": "x"})
        assert (answer.status_code, answer.content) == (200, b"{}")
    assert (await client.get("/me", headers=bearer(tokens))).status_code == 401
    assert (await refresh(client, tokens["refresh_token"])).status_code == 400


async def test_token_of_another_client_is_not_revoked(client: httpx2.AsyncClient) -> None:
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


async def test_revoke_requires_a_token(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/revoke", data={"token_type_hint": "x"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
