"""POST /login with grant_type=refresh_token."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.support.api.identity_client import bearer, refresh, serving, sign_in
from tests.support.program.command import SECONDS, wait_until
from tests.support.program.server import Start


async def test_refresh_has_the_same_answer_as_sign_in(client: httpx2.AsyncClient) -> None:
    first = await sign_in(client)
    answer = await refresh(client, first["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json().keys() == first.keys()
    assert (await client.get("/me", headers=bearer(answer.json()))).status_code == 200


@pytest.mark.parametrize("token", ["x", "ogr_" + "A" * 43, "%00", "x" * 5000])
async def test_malformed_refresh_token_is_an_invalid_grant(
    client: httpx2.AsyncClient, token: str
) -> None:
    answer = await refresh(client, token)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"
    assert answer.headers["cache-control"] == "no-store"


async def test_refresh_requires_a_token(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/login", data={"grant_type": "refresh_token", "username": "alice"})
    assert answer.status_code == 400
    assert answer.json()["error_description"] == "The form field refresh_token is missing."


async def test_more_scope_than_was_granted_is_an_invalid_scope(client: httpx2.AsyncClient) -> None:
    tokens = await sign_in(client, scope="orders:read")
    answer = await refresh(client, tokens["refresh_token"], scope="account")
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_scope"


@pytest.mark.parametrize("workers", [1, 2])
async def test_parallel_refreshes_get_one_successor(
    tmp_path: Path, start: Start, workers: int
) -> None:
    server = serving(tmp_path, start, workers=workers)
    async with httpx2.AsyncClient(base_url=server.url, timeout=SECONDS) as client:
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
    async with httpx2.AsyncClient(base_url=server.url) as client:
        first = await sign_in(client, "user1")
        second = (await refresh(client, first["refresh_token"])).json()
        assert (await client.get("/me", headers=bearer(second))).status_code == 200
        assert (await refresh(client, first["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await client.get("/me", headers=bearer(second))).status_code == 401
        assert (await refresh(client, second["refresh_token"])).status_code == 400
    wait_until(lambda: "reuse_seen" in "".join(server.output))
