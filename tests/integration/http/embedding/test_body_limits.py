"""Limits of bodies for routes and routers of an adopter."""

from collections.abc import Iterator

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.testclient import TestClient

from ordergate.testing import create

LIMIT = 2_000


async def count(request: Request) -> int:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return size


async def ignore() -> str:
    return "done"


@pytest.fixture
def app() -> FastAPI:
    app = create(max_body_bytes=LIMIT)
    app.post("/plain")(count)
    app.post("/large", max_body_size=9_000)(count)
    app.post("/small", max_body_size=1_000)(count)
    app.post("/large/ignored", max_body_size=9_000)(ignore)
    app.post("/ignored")(ignore)
    router = APIRouter(max_body_size=9_000)
    router.post("/default")(count)
    router.post("/larger", max_body_size=12_000)(count)
    app.include_router(router, prefix="/router")
    open_router = APIRouter()
    open_router.post("/default")(count)
    app.include_router(open_router, prefix="/included/{id}", max_body_size=9_000)
    inner = FastAPI(max_body_size=9_000)
    inner.post("/default")(count)
    inner.post("/larger", max_body_size=12_000)(count)
    app.mount("/inner", inner)
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/plain", LIMIT),
        ("/large", 9_000),
        ("/small", 1_000),
        ("/router/default", 9_000),
        ("/router/larger", 12_000),
        ("/included/7/default", 9_000),
        ("/inner/default", 9_000),
        ("/inner/larger", 12_000),
    ],
)
def test_route_has_its_own_limit(client: TestClient, path: str, limit: int, chunked: bool) -> None:
    def body(size: int) -> bytes | Iterator[bytes]:
        return iter([b"x" * 500] * (size // 500)) if chunked else b"x" * size

    accepted = client.post(path, content=body(limit))
    assert (accepted.status_code, accepted.json()) == (200, limit)
    refused = client.post(path, content=body(limit + 500))
    assert refused.status_code == 413
    if not path.startswith("/inner"):  # a mounted application answers in its own form
        assert refused.headers["content-type"] == "application/problem+json"


def test_large_body_is_refused_by_a_route_that_ignores_it(client: TestClient) -> None:
    assert client.post("/large/ignored", content=b"x" * 9_000).json() == "done"
    assert client.post("/large/ignored", content=b"x" * 9_001).status_code == 413
    assert client.post("/ignored", content=b"x" * (LIMIT + 1)).status_code == 413


@pytest.mark.parametrize("path", ["/orders", "/login", "/nothing", "/large/nothing"])
def test_other_routes_keep_the_limit_of_the_service(client: TestClient, path: str) -> None:
    assert client.post(path, content=b"x" * (LIMIT + 1)).status_code == 413
