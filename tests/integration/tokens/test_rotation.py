"""Rotate keys beside a real server, unnoticed by its clients."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest

from tests.support.program.command import PASSWORD, SECONDS, ordergate, wait_until
from tests.support.program.server import Server, Start

CHEAP: dict[str, Any] = {"BCRYPT_COST": 4, "LOG_FORMAT": "json"}


@pytest.fixture
def server(tmp_path: Path, start: Start) -> Server:
    """Serve three users' orders with two workers."""
    for arguments in (["migrate"], ["seed", "--users", 3, "--orders", 30]):
        done = ordergate(*arguments, cwd=tmp_path, PASSWORD=PASSWORD, **CHEAP)
        assert done.returncode == 0, done.stderr
    return start("serve", "--workers", 2, cwd=tmp_path, **CHEAP)


def keys(folder: Path, *arguments: str) -> str:
    """Run a command that must succeed; return the key named first."""
    result = ordergate("keys", *arguments, cwd=folder, **CHEAP)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()[0]


def signing(folder: Path) -> str:
    result = ordergate("keys", "list", cwd=folder, **CHEAP)
    (row,) = (row for row in result.stdout.splitlines() if " signing " in row)
    return row.split()[0]


def get_token(server: Server) -> str:
    form = {"username": "user1", "password": PASSWORD}
    answer = httpx2.post(f"{server.url}/login", data=form, timeout=SECONDS)
    token: str = answer.json()["access_token"]
    return token


def read_kid(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def test_running_workers_apply_every_change(server: Server, tmp_path: Path) -> None:
    old = signing(tmp_path)
    before = get_token(server)
    assert read_kid(before) == old
    new = keys(tmp_path, "new")
    wait_until(lambda: all(published(server) == [old, new] for _ in range(8)))
    keys(tmp_path, "promote", new, "--now")
    wait_until(lambda: all(read_kid(get_token(server)) == new for _ in range(8)))
    assert all(read(server, before) == 200 for _ in range(8))
    keys(tmp_path, "retire", old, "--now")
    wait_until(lambda: all(read(server, before) == 401 for _ in range(8)))
    assert published(server) == [new]


def published(server: Server) -> list[str]:
    jwks = httpx2.get(f"{server.url}/.well-known/jwks.json").json()
    return [key["kid"] for key in jwks["keys"]]


def signs_with(server: Server, kid: str) -> bool:
    """Return whether eight tokens in turn are signed with that key."""
    return all(read_kid(get_token(server)) == kid for _ in range(8))


def read(server: Server, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.get(f"{server.url}/order?id=1", headers=headers).status_code


def test_published_keys_verify_our_tokens_in_other_libraries(
    server: Server, tmp_path: Path
) -> None:
    for algorithm in ("EdDSA", "ES256", "RS256"):
        keys(tmp_path, "promote", keys(tmp_path, "new", "--algorithm", algorithm), "--now")
        kid = signing(tmp_path)
        wait_until(partial(signs_with, server, kid))
        token = get_token(server)
        metadata = httpx2.get(f"{server.url}/.well-known/oauth-authorization-server").json()
        address = server.url + metadata["jwks_uri"].removeprefix(metadata["issuer"])
        key = jwt.PyJWKClient(address).get_signing_key_from_jwt(token)
        assert key.key_id == kid
        claims = jwt.decode(
            token, key, [algorithm], audience="ordergate", issuer=metadata["issuer"]
        )
        assert claims["sub"] == "1"


async def test_requests_succeed_during_a_rotation_under_load(
    server: Server, tmp_path: Path
) -> None:
    """Clients sign in and read while the key changes twice."""
    over = asyncio.Event()
    statuses: list[int] = []
    signed_by: set[str] = set()

    async def use(username: str, order: int) -> None:
        while not over.is_set():
            # A new connection each round, so that both workers are met in every order.
            async with httpx2.AsyncClient(base_url=server.url, timeout=SECONDS) as client:
                form = {"username": username, "password": PASSWORD}
                answer = await client.post("/login", data=form)
                statuses.append(answer.status_code)
                token = answer.json()["access_token"]
                signed_by.add(read_kid(token))
            for _ in range(4):
                async with httpx2.AsyncClient(base_url=server.url, timeout=SECONDS) as client:
                    headers = {"Authorization": f"Bearer {token}"}
                    answer = await client.get(f"/order?id={order}", headers=headers)
                    statuses.append(answer.status_code)
                    answer = await client.get("/.well-known/jwks.json")
                    statuses.append(answer.status_code)

    async def run(*arguments: str) -> str:
        return await asyncio.to_thread(keys, tmp_path, *arguments)

    async def wait_for_signature(kid: str) -> None:
        async with asyncio.timeout(SECONDS):
            while kid not in signed_by:
                await asyncio.sleep(0.01)

    clients = [asyncio.create_task(use(f"user{1 + i % 3}", 1 + i % 3)) for i in range(4)]
    try:
        used = [await asyncio.to_thread(signing, tmp_path)]
        await wait_for_signature(used[0])
        for _ in range(2):
            unused = await run("new", "--algorithm", "ES256")
            used.append(await run("new"))
            await run("promote", used[-1], "--now")
            await wait_for_signature(used[-1])
            await run("retire", unused, "--now")
        await run("rotate")
    finally:
        over.set()
        await asyncio.gather(*clients)
    assert set(statuses) == {200}
    assert signed_by == set(used)
    assert len(set(used)) == 3
    lines = [json.loads(line) for line in server.output]
    # A faulty SQLite is logged at the start, which is no fault of a rotation.
    unexpected = {line["event"] for line in lines if line["level"] != "info"}
    assert unexpected <= {"several_workers_risk_data"}
