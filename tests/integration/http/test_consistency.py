"""The header `Consistency-Token`, where orders may be read from a copy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.consistency import CURRENT, begin_write
from ordergate.application.errors import StorageUnavailable
from ordergate.testing import create
from tests.support.api.http_client import TEA, register_new_user

ORIGIN = "https://shop.example"
POSITION = 7
FIELD = "Consistency-Token"


@asynccontextmanager
async def a_client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client of a new user."""
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        client.headers.update(await register_new_user(client))
        yield client


@pytest.fixture
def app() -> FastAPI:
    urls = ("postgresql://db1/orders", "postgresql://db2/orders")
    return create(database_url=urls[0], read_database_url=urls[1], cors_origins=(ORIGIN,))


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with a_client(app) as client:
        yield client


@pytest.fixture
def storage(app: FastAPI) -> InMemoryStorage:
    storage = app.state.services.storage()
    assert isinstance(storage, InMemoryStorage)
    return storage


@pytest.fixture
def needed(storage: InMemoryStorage, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what reads need, and let each write have a position."""
    orders, found, positions = storage.orders, list[object](), count(POSITION)
    get_owned, list_owned, add = orders.get_owned, orders.list_owned, orders.add

    def note_read() -> None:
        consistency = CURRENT.get()
        assert consistency
        found.append(consistency.needed)

    async def noted_get(*arguments: Any, **named: Any) -> Any:
        note_read()
        return await get_owned(*arguments, **named)

    async def noted_list(*arguments: Any, **named: Any) -> Any:
        note_read()
        return await list_owned(*arguments, **named)

    async def noted_add(*arguments: Any, **named: Any) -> Any:
        consistency = CURRENT.get()
        assert consistency
        assert consistency.needed is None
        begin_write()
        order = await add(*arguments, **named)
        if order:
            consistency.note(next(positions))
        return order

    monkeypatch.setattr(orders, "get_owned", noted_get)
    monkeypatch.setattr(orders, "list_owned", noted_list)
    monkeypatch.setattr(orders, "add", noted_add)
    return found


async def test_token_of_a_write_is_needed_by_the_next_read(
    client: httpx2.AsyncClient, needed: list[object]
) -> None:
    placed = await client.post("/orders", json=TEA, headers={FIELD: "none"})
    token = placed.headers[FIELD]
    number = placed.json()["id"]
    for path in (f"/orders/{number}", f"/order?id={number}", "/orders"):
        read = await client.get(path, headers={FIELD: token})
        assert read.status_code == 200
        assert FIELD not in read.headers
        assert (await client.head(path, headers={FIELD: token})).status_code == 200
        await client.get(path, headers={FIELD: "none"})
        await client.get(path)
    assert needed == [POSITION, POSITION, 0, None] * 3


@pytest.mark.parametrize(
    "text", ["", "7", "unknown", "A" * 36, "A" * 10_000, "\u00fc", "none, other"]
)
async def test_unknown_token_needs_the_newest_order(
    client: httpx2.AsyncClient, needed: list[object], text: str
) -> None:
    headers = {FIELD.encode(): text.encode()}
    assert (await client.get("/orders", headers=headers)).status_code == 200
    assert needed == [None]


async def test_tokens_of_parallel_writes_are_all_needed(
    client: httpx2.AsyncClient, needed: list[object]
) -> None:
    tokens = [(await client.post("/orders", json=TEA)).headers[FIELD] for _ in range(16)]
    for headers in (
        [(FIELD, ", ".join(reversed(tokens)))],
        [(FIELD, token) for token in tokens],
        [(FIELD, "none,none")],
        [(FIELD, token) for token in [*tokens, "none"]],
    ):
        assert (await client.get("/orders", headers=headers)).status_code == 200
    assert needed == [POSITION + 15, POSITION + 15, 0, None]


async def test_refused_write_has_an_unknown_token(
    client: httpx2.AsyncClient, needed: list[object], storage: InMemoryStorage
) -> None:
    storage.tables.users.clear()
    refused = await client.post("/orders", json=TEA)
    assert refused.status_code == 401
    assert refused.headers[FIELD] == "unknown"


async def test_write_is_answered_without_the_key_of_tokens(
    client: httpx2.AsyncClient,
    needed: list[object],
    storage: InMemoryStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def lose() -> bytes:
        raise StorageUnavailable("lost")

    monkeypatch.setattr(storage, "get_secret", lose)
    placed = await client.post("/orders", json=TEA)
    assert placed.status_code == 201
    assert placed.headers[FIELD] == "unknown"
    read = await client.get(f"/orders/{placed.json()['id']}", headers={FIELD: "none"})
    assert (read.status_code, needed) == (200, [None])


async def test_pages_of_other_origins_may_use_tokens(client: httpx2.AsyncClient) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    asked["Access-Control-Request-Headers"] = "authorization, consistency-token"
    preflight = await client.options("/orders", headers=asked)
    assert preflight.status_code == 200
    answer = await client.get("/orders", headers={"Origin": ORIGIN})
    assert FIELD in answer.headers["access-control-expose-headers"].split(", ")


async def test_document_describes_tokens(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    def reads(path: str, method: str) -> bool:
        parameters = document["paths"][path][method].get("parameters", [])
        return FIELD in {each.get("name") for each in parameters}

    def answers(path: str, method: str, status: str) -> bool:
        return FIELD in document["paths"][path][method]["responses"][status].get("headers", {})

    assert all(reads(path, "get") for path in ("/order", "/orders", "/orders/{id}"))
    assert not reads("/me", "get")
    assert not reads("/orders", "post")
    assert answers("/orders", "post", "201")
    assert answers("/orders/{id}/cancel", "post", "200")
    assert not answers("/orders", "get", "200")


async def test_header_is_not_there_by_default() -> None:
    app = create(cors_origins=(ORIGIN,))
    assert FIELD not in str(app.openapi())
    async with a_client(app) as client:
        placed = await client.post("/orders", json=TEA, headers={"Origin": ORIGIN})
    assert placed.status_code == 201
    assert FIELD not in placed.headers
    assert FIELD not in placed.headers["access-control-expose-headers"]
