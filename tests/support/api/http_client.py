"""Requests to the service, in process or through a server."""

import uuid
from collections.abc import Mapping

import httpx2
import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.doubles import InstantPasswordHasher
from tests.support.program.command import PASSWORD

CLIENT_KINDS = ["in process", pytest.param("through a server", marks=pytest.mark.process)]
"""What the fixture `client` runs each test with."""

PROBLEM = "application/problem+json"

_METADATA = "http://127.0.0.1:8000/.well-known/oauth-protected-resource"


def challenge(reason: str = "") -> str:
    """Return the header `WWW-Authenticate` of a service with the default issuer."""
    return f'Bearer realm="ordergate"{reason}, resource_metadata="{_METADATA}"'


async def in_process_client() -> httpx2.AsyncClient:
    container = Container(
        settings=Settings(
            signing_secret="a secret of more than thirty-two bytes",
            cors_origins="https://shop.example",
        ),
        storage=InMemoryStorage(),
        hasher=InstantPasswordHasher(),
    )
    await container.seed_storage()(users=3, orders=30, password=PASSWORD)
    transport = httpx2.ASGITransport(create_app(container), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://in.process")


async def sign_in(client: httpx2.AsyncClient, username: str = "user1") -> dict[str, str]:
    response = await client.post("/login", data={"username": username, "password": PASSWORD})
    assert response.status_code == 200, response.text
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


def problem(response: httpx2.Response) -> dict[str, object]:
    """Return a problem's members after checking what every problem has."""
    of_oauth = response.request.url.path in {"/login", "/revoke"}  # RFC 6749, section 5.2
    assert response.headers["content-type"] == ("application/json" if of_oauth else PROBLEM)
    assert response.headers["cache-control"] == "no-store"
    body: dict[str, object] = response.json()
    assert body["status"] == response.status_code
    assert body["request_id"] == response.headers["x-request-id"]
    return body


TEAPOT = {"sku": "POT-1", "name": "Teapot, 1 l", "quantity": 1, "unit_price": "64.00"}


CUPS = {"sku": "CUP-2", "name": "Cup", "quantity": 4, "unit_price": "12.5"}


TEA = {"currency": "EUR", "lines": [TEAPOT, CUPS]}


MANY = httpx2.Limits(max_connections=None, max_keepalive_connections=0)


async def register_new_user(client: httpx2.AsyncClient) -> dict[str, str]:
    name = f"user-{uuid.uuid4().hex}"
    added = await client.post("/users", json={"username": name, "password": PASSWORD})
    assert added.status_code == 201, added.text
    return await sign_in(client, name)


async def place_order(
    client: httpx2.AsyncClient,
    user: Mapping[str, str],
    order: object = TEA,
    **headers: str,
) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/orders", json=order, headers={**user, **named})


async def place_and_get_location(client: httpx2.AsyncClient, user: Mapping[str, str]) -> str:
    answer = await place_order(client, user)
    assert answer.status_code == 201, answer.text
    return resolve(answer, answer.headers["location"])


def resolve(answer: httpx2.Response, reference: str) -> str:
    """Return the path and query of a reference in an answer (RFC 3986, section 5)."""
    return answer.url.join(reference).raw_path.decode()


async def count_orders(client: httpx2.AsyncClient, user: Mapping[str, str]) -> int:
    return len((await client.get("/orders?limit=200", headers=user)).json()["orders"])


def first_answer(answer: httpx2.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return an answer without the fields that differ for every request."""
    volatile = {"date", "x-request-id"}
    headers = [(name, value) for name, value in answer.headers.items() if name not in volatile]
    return answer.status_code, answer.content, headers


async def walk_pages(
    client: httpx2.AsyncClient, address: str, user: Mapping[str, str]
) -> list[list[int]]:
    """Return the ids of every page, by following `Link` alone."""
    pages: list[list[int]] = []
    following: str | None = address
    while following:
        answer = await client.get(following, headers=user)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "private, no-store"
        body = answer.json()
        pages.append([order["id"] for order in body["orders"]])
        link = answer.links.get("next")
        assert (link is None) == (body["next_cursor"] is None)
        assert link is None or httpx2.URL(link["url"]).params["cursor"] == body["next_cursor"]
        following = link["url"] if link else None
    return pages
