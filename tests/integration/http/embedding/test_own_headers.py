"""Security and caching headers that a route sets by itself."""

import pytest
from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.testclient import TestClient

from ordergate.entrypoints.http.security import CurrentUser, OptionalUser, authenticated
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


@pytest.mark.parametrize("is_first", [True, False])
def test_router_sets_headers_by_a_dependency(*, is_first: bool) -> None:
    app, router = create(), APIRouter()

    @router.get("/router")
    async def read(user: CurrentUser) -> str:
        return "x"

    own = [Depends(set_headers), authenticated]
    app.include_router(router, dependencies=own if is_first else own[::-1])
    answer = TestClient(app).get("/router", headers=authorize(app))
    assert {name: answer.headers.get_list(name) for name in OWN} == {
        name: [value] for name, value in OWN.items()
    }


def test_anonymous_answer_varies_also_by_the_headers_of_the_adopter() -> None:
    app = create()

    def vary(response: Response) -> None:
        response.headers.update({"Vary": "Accept-Language", "Cache-Control": "max-age=60"})

    @app.get("/greeting", dependencies=[Depends(vary)])
    async def greet(user: OptionalUser) -> str:
        return "x"

    answer = TestClient(app).get("/greeting")
    assert answer.headers["vary"] == "Accept-Language, Authorization"
    assert answer.headers["cache-control"] == "max-age=60"
