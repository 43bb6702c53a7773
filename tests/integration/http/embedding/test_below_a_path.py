"""The service behind a proxy's prefix, with a root path, and mounted."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from ordergate.entrypoints.http.app import create_app
from tests.support.api.embedding import make_services
from tests.support.api.http_client import TEA, sign_in
from tests.support.program.command import CHEAP, PASSWORD, PATIENT, SECONDS, ordergate
from tests.support.program.server import Start
from tests.support.proxies.stripping_proxy import PROXIES, stripping_proxy

ROOT = Path(__file__).parents[4]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
[LOCATION] = re.findall(
    r"^```nginx\n(location /shop/.*?)^```", OPERATIONS, re.DOTALL | re.MULTILINE
)


async def follow(
    client: httpx2.AsyncClient, answer: httpx2.Response, reference: str, **options: Any
) -> httpx2.Response:
    """Read the target of an answer's reference, as a browser resolves it."""
    found = await client.get(str(answer.url.join(reference)), **options)
    assert found.status_code == 200, (answer.url, reference, found.text)
    return found


async def check_references(client: httpx2.AsyncClient) -> None:
    """Follow every reference in answers.

    The base URL of the client ends with the path.
    """
    user = await sign_in(client)
    placed = await client.post("orders", json=TEA, headers=user)
    order = await follow(client, placed, placed.headers["location"], headers=user)
    assert order.json() == placed.json()
    cancelled = await client.post(f"orders/{order.json()['id']}/cancel", headers=user)
    at = cancelled.headers["content-location"]
    assert (await follow(client, cancelled, at, headers=user)).json() == cancelled.json()
    assert cancelled.url.join(at) == order.url
    page = await client.get("orders?limit=1", headers=user)
    following = await follow(client, page, page.links["next"]["url"], headers=user)
    assert following.json()["orders"] != page.json()["orders"]
    assert following.url.path == page.url.path
    account = {"username": f"user-{uuid4().hex}", "password": PASSWORD}
    registered = await client.post("users", json=account)
    new = await client.post("login", data=account)
    bearer = {"Authorization": f"Bearer {new.json()['access_token']}"}
    me = await follow(client, registered, registered.headers["location"], headers=bearer)
    assert me.json() == registered.json()
    root = await client.get("", follow_redirects=True)
    assert "swagger-ui" in root.text


@pytest.fixture(params=PROXIES)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["", "/shop"], ids=["no root path", "root path"])
def root_path(request: pytest.FixtureRequest) -> str:
    path: str = request.param
    return path


@pytest.fixture
def proxied(tmp_path: Path, start: Start, kind: str, root_path: str) -> Iterator[str]:
    cheap: dict[str, Any] = {**CHEAP, **PATIENT, "PASSWORD": PASSWORD}
    for arguments in (["migrate"], ["seed", "--users", 1, "--orders", 3]):
        done = ordergate(*arguments, cwd=tmp_path, **cheap)
        assert done.returncode == 0, done.stderr
    options = ["--root-path", root_path] if root_path else []
    server = start("serve", *options, cwd=tmp_path, **cheap)
    with stripping_proxy(kind, server.url, tmp_path, LOCATION) as address:
        yield f"{address}/shop/"


async def test_references_and_servers_are_right_behind_a_proxy(
    proxied: str, root_path: str
) -> None:
    async with httpx2.AsyncClient(base_url=proxied, timeout=SECONDS) as client:
        await check_references(client)
        document = await client.get("openapi.json")
        servers = [each["url"] for each in document.json()["servers"]]
        assert servers == [*([root_path] if root_path else []), "http://127.0.0.1:8000"]
        if root_path:
            answer = await client.get(str(document.url.join(f"{servers[0]}/livez")))
            assert answer.json() == {"status": "ok"}


@pytest.fixture
async def mounted() -> AsyncIterator[httpx2.AsyncClient]:
    container = make_services()
    await container.seed_storage()(users=1, orders=3, password=PASSWORD)
    outer = FastAPI()
    outer.mount("/shop", create_app(container))
    transport = httpx2.ASGITransport(outer)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://in.process/shop/"
    ) as client:
        yield client


async def test_references_are_right_in_a_mounted_application(mounted: httpx2.AsyncClient) -> None:
    await check_references(mounted)
    document = (await mounted.get("openapi.json")).json()
    assert document["servers"][0] == {"url": "/shop"}


async def test_refusals_below_a_path_are_the_same(mounted: httpx2.AsyncClient) -> None:
    refused = await mounted.post("login", data={"username": "user1", "password": "wrong"})
    assert refused.headers["content-type"] == "application/json"
    assert (await mounted.get("orders")).status_code == 401
    assert (await mounted.get("nothing")).status_code == 404
    assert (await mounted.put("orders")).headers["allow"] == "GET, HEAD, OPTIONS, POST"
