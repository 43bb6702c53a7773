"""Security and caching headers that a route sets by itself."""

import pytest
from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.testclient import TestClient

from ordergate.entrypoints.http.security import CurrentUser, authenticated
from ordergate.testing import authorize, create

OWN = {
    "Content-Security-Policy": "default-src 'self'",
    "Cache-Control": "private, max-age=60",
    "X-Frame-Options": "SAMEORIGIN",
}


def set_headers(response: Response) -> None:
    response.headers.update(OWN)


@pytest.fixture
def client() -> TestClient:
    app = create()

    @app.get("/default")
    async def default(user: CurrentUser) -> str:
        return "x"

    @app.get("/page")
    async def page(user: CurrentUser) -> HTMLResponse:
        return HTMLResponse("<p>x", headers=OWN)

    @app.get("/streamed", dependencies=[authenticated])
    def streamed() -> StreamingResponse:
        return StreamingResponse(iter([b"x"]), headers=OWN)

    @app.get("/parameter")
    async def parameter(user: CurrentUser, response: Response) -> str:
        response.headers.update(OWN)
        return "x"

    router = APIRouter()
    router.get("/router")(default)
    app.include_router(router, dependencies=[authenticated, Depends(set_headers)])
    return TestClient(app, headers=authorize(app))


@pytest.mark.parametrize("path", ["/page", "/streamed", "/parameter"])
def test_route_keeps_its_own_headers(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert {name: answer.headers.get_list(name) for name in OWN} == {
        name: [value] for name, value in OWN.items()
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]


def test_route_without_headers_of_its_own_is_not_cached(client: TestClient) -> None:
    answer = client.get("/default")
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_router_sets_headers_by_a_dependency(client: TestClient) -> None:
    assert client.get("/router").headers["content-security-policy"] == "default-src 'self'"
