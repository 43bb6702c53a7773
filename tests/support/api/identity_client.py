"""Requests to the identity routes of one application in process."""

from pathlib import Path
from typing import Any

import httpx2

from ordergate.adapters.memory import InMemoryStorage
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.doubles import InstantPasswordHasher
from tests.support.program.command import PASSWORD, ordergate
from tests.support.program.server import Server, Start

CHEAP = {"BCRYPT_COST": 4}


def application(**settings: Any) -> httpx2.AsyncClient:
    container = Container(
        settings=Settings(signing_secret="a secret of more than thirty-two bytes", **settings),
        storage=InMemoryStorage(),
        hasher=InstantPasswordHasher(),
    )
    transport = httpx2.ASGITransport(create_app(container), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://in.process")


async def open_account(client: httpx2.AsyncClient, name: str = "alice") -> None:
    answer = await client.post("/users", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 201, answer.text


async def sign_in(
    client: httpx2.AsyncClient, username: str = "alice", password: str = PASSWORD, **more: str
) -> dict[str, Any]:
    form = {"username": username, "password": password, **more}
    answer = await client.post("/login", data=form)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def refresh(client: httpx2.AsyncClient, token: str, **more: str) -> httpx2.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, **more}
    return await client.post("/login", data=form)


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def serving(tmp_path: Path, start: Start, workers: int = 1, **settings: object) -> Server:
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    seed = ["seed", "--users", 2, "--orders", 4]
    assert ordergate(*seed, cwd=tmp_path, PASSWORD=PASSWORD, **CHEAP).returncode == 0
    return start("serve", "--workers", workers, cwd=tmp_path, **CHEAP, **settings)
