"""HEAD and OPTIONS (RFC 9110, sections 9.1 and 9.3)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Response
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, Router

from ordergate.entrypoints.http.security import authenticated
from ordergate.testing import create
from tests.support.api.http_client import problem, sign_in

VARYING = {"date", "x-request-id"}
"""Headers that differ between two answers."""


def comparable_headers(answer: httpx2.Response) -> list[tuple[str, str]]:
    """Return the headers in order, without those that differ between two answers."""
    return [(name, value) for name, value in answer.headers.multi_items() if name not in VARYING]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/orders", 200),
        ("/orders/1", 200),
        ("/order?id=1", 200),
        ("/orders/4611686018427387904", 404),
        ("/orders/x", 422),
        ("/me", 200),
        ("/sessions?page=2", 422),
        ("/livez", 200),
        ("/readyz", 200),
        ("/", 307),
        ("/docs", 200),
        ("/docs/swagger-ui.css", 200),
        ("/openapi.json", 200),
        ("/.well-known/jwks.json", 200),
        ("/.well-known/oauth-authorization-server", 200),
        ("/nothing", 404),
    ],
)
async def test_head_is_answered_as_get_without_a_body(
    client: httpx2.AsyncClient, path: str, status: int
) -> None:
    user = await sign_in(client)
    got = await client.get(path, headers=user)
    head = await client.head(path, headers=user)
    assert got.status_code == head.status_code == status
    assert comparable_headers(head) == comparable_headers(got)
    assert head.content == b""


async def test_head_checks_tokens_and_entity_tags(client: httpx2.AsyncClient) -> None:
    refused = await client.head("/orders?page=2")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    user = await sign_in(client)
    tag = (await client.head("/orders/1", headers=user)).headers["etag"]
    answer = await client.head("/orders/1", headers={**user, "If-None-Match": tag})
    assert (answer.status_code, answer.headers["etag"]) == (304, tag)
    answer = await client.head("/orders/1", headers={**user, "If-Match": '"0"'})
    assert answer.status_code == 412


async def test_connection_continues_after_head(client: httpx2.AsyncClient) -> None:
    user = await sign_in(client)
    for _ in range(3):
        assert (await client.head("/orders/1", headers=user)).status_code == 200
        assert (await client.get("/orders/1", headers=user)).json()["id"] == 1


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/login", "OPTIONS, POST"),
        ("/orders?page=2", "GET, HEAD, OPTIONS, POST"),
        ("/orders/x", "GET, HEAD, OPTIONS"),
        ("/orders/1/cancel", "OPTIONS, POST"),
        ("/me", "DELETE, GET, HEAD, OPTIONS"),
        ("/docs", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_is_answered_with_the_methods(
    client: httpx2.AsyncClient, path: str, allow: str
) -> None:
    for headers in ({}, {"Origin": "https://shop.example"}):
        answer = await client.options(path, headers=headers)
        assert (answer.status_code, answer.headers["allow"]) == (204, allow)
        assert answer.content == b""
        assert answer.headers["x-request-id"]
        assert "content-type" not in answer.headers


async def test_unknown_address_has_no_methods(client: httpx2.AsyncClient) -> None:
    answer = await client.options("/nothing")
    assert answer.status_code == 404
    problem(answer)


async def test_head_of_an_address_without_get_is_405(client: httpx2.AsyncClient) -> None:
    answer = await client.head("/login")
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert answer.content == b""


async def test_document_has_neither_head_nor_options(client: httpx2.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert not [path for path, methods in paths.items() if {"head", "options"} & set(methods)]


# Routes of an adopter


@pytest.fixture
def app() -> FastAPI:
    return create()


@pytest.fixture
async def adopter(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        yield client


def notes() -> APIRouter:
    router = APIRouter()

    @router.get("/notes")
    async def read_notes(response: Response) -> list[str]:
        response.headers["X-Notes"] = "1"
        return ["Water the plants"]

    @router.patch("/notes")
    async def change_notes() -> None: ...

    return router


async def test_routes_of_your_own_have_head_and_options(
    app: FastAPI, adopter: httpx2.AsyncClient
) -> None:
    app.include_router(notes())
    app.include_router(notes(), prefix="/mine", dependencies=[authenticated])
    app.mount("/mounted", notes())
    sub = FastAPI()
    sub.include_router(notes())
    app.mount("/sub", sub)
    for path in ("/notes", "/mounted/notes", "/sub/notes"):
        head = await adopter.head(path)
        assert (head.status_code, head.headers["x-notes"]) == (200, "1")
        assert (head.headers["content-length"], head.content) == ("20", b"")
    assert (await adopter.head("/mine/notes")).status_code == 401
    for path in ("/notes", "/mine/notes"):
        answer = await adopter.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, PATCH")
    for path in ("/mounted/notes", "/sub/notes"):
        answer = await adopter.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_refusal_of_a_mounted_router_lists_its_own_methods(
    app: FastAPI, adopter: httpx2.AsyncClient
) -> None:
    async def write(_request: Request) -> Response:
        return PlainTextResponse("written")

    app.mount("/own", Router([Route("/orders", write, methods=["PUT"])]))
    answer = await adopter.get("/own/orders")
    assert (answer.status_code, answer.headers["allow"]) == (405, "PUT")
    answer = await adopter.options("/own/orders")
    assert (answer.status_code, answer.headers["allow"]) == (204, "OPTIONS, PUT")


async def test_your_own_head_and_options_precede(app: FastAPI, adopter: httpx2.AsyncClient) -> None:
    @app.head("/notes")
    async def measure() -> Response:
        return Response(headers={"X-Own": "head"})

    @app.options("/notes")
    async def describe() -> str:
        return "own"

    @app.get("/notes")
    async def read() -> Response:
        raise HTTPException(410)

    head = await adopter.head("/notes")
    assert (head.status_code, head.headers["x-own"]) == (200, "head")
    answer = await adopter.options("/notes")
    assert (answer.status_code, answer.json()) == (200, "own")
    assert (await adopter.put("/notes")).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_head_of_a_file_runs_its_background_task(
    app: FastAPI, adopter: httpx2.AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "notes").write_bytes(b"x" * 200_000)
    cleaned: list[int] = []

    @app.get("/file")
    async def read_file() -> FileResponse:
        return FileResponse(tmp_path / "notes", background=BackgroundTask(cleaned.append, 1))

    head = await adopter.head("/file")
    assert (head.headers["content-length"], head.content, cleaned) == ("200000", b"", [1])


async def test_head_of_an_endless_stream_ends(app: FastAPI, adopter: httpx2.AsyncClient) -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: 1\n\n"
                await asyncio.sleep(0)
        finally:
            ended.set()

    @app.get("/events")
    async def read_events() -> StreamingResponse:
        return StreamingResponse(endless(), media_type="text/event-stream")

    head = await adopter.head("/events")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
    await ended.wait()


async def test_timeout_of_your_own_route_is_an_error(
    app: FastAPI, adopter: httpx2.AsyncClient
) -> None:
    @app.get("/slow")
    async def read_slowly() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await adopter.head("/slow")
