"""Protected routes in each form that FastAPI's documentation shows."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Body, Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.testclient import TestClient

from ordergate.application.ports.tokens import Caller
from ordergate.entrypoints.http.security import CurrentUser, authenticated, authorized
from ordergate.testing import authorize, create
from tests.support.api.http_client import problem

EVENTS: list[str] = []


@dataclass
class Page:
    """A dependency that is a class and depends on the caller."""

    user: CurrentUser
    size: int = 10


def open_session(user: CurrentUser) -> Iterator[str]:
    EVENTS.append("open")
    yield f"session of {user.id}"
    EVENTS.append("close")


class TimedRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def timed(request: Request) -> Response:
            answer = await handle(request)
            answer.headers["X-Timed"] = "yes"
            return answer

        return timed


def make_router() -> APIRouter:
    router = APIRouter(route_class=TimedRoute)

    @router.get("/class")
    def get_class(page: Annotated[Page, Depends()]) -> list[int]:
        return [page.user.id, page.size]

    @router.get("/yield")
    async def get_yield(session: Annotated[str, Depends(open_session)]) -> str:
        return session

    @router.get("/background")
    async def get_background(user: CurrentUser, tasks: BackgroundTasks) -> str:
        tasks.add_task(EVENTS.append, f"task of {user.id}")
        return "begun"

    @router.get("/stream")
    async def get_stream(user: CurrentUser) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "for "
            yield str(user.id)

        return StreamingResponse(parts(), media_type="text/plain")

    @router.get("/html", response_class=HTMLResponse)
    async def get_html(user: CurrentUser) -> str:
        return f"<h1>{user.id}</h1>"

    @router.get("/text")
    def get_text(user: Annotated[Caller, authorized("account")]) -> Response:
        return PlainTextResponse(str(user.id), headers={"Cache-Control": "max-age=60"})

    @router.post("/body")
    async def read_body(user: CurrentUser, text: Annotated[str, Body(embed=True)]) -> list[object]:
        return [user.id, text]

    return router


@pytest.fixture(params=["application", "nested", "routes"])
def app(request: pytest.FixtureRequest) -> FastAPI:
    """Include the router in three ways; every route needs a caller."""
    EVENTS.clear()
    app = create()
    if request.param == "application":
        app.include_router(make_router(), prefix="/api/v1", dependencies=[authenticated])
    elif request.param == "nested":
        inner = APIRouter(prefix="/v1", dependencies=[authenticated])
        inner.include_router(make_router())
        outer = APIRouter(prefix="/api", tags=["outer"], responses={404: {"description": "No"}})
        outer.include_router(inner)
        app.include_router(outer)
    else:
        app.include_router(make_router(), prefix="/api/v1")
    return app


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("class?size=3", "[7,3]"),
        ("yield", '"session of 7"'),
        ("background", '"begun"'),
        ("stream", "for 7"),
        ("html", "<h1>7</h1>"),
        ("text", "7"),
    ],
)
def test_route_answers_its_caller_alone(app: FastAPI, path: str, text: str) -> None:
    client = TestClient(app)
    assert problem(client.get(f"/api/v1/{path}"))["status"] == 401
    assert EVENTS == []
    answer = client.get(f"/api/v1/{path}", headers=authorize(app, 7))
    assert (answer.status_code, answer.text) == (200, text)
    assert answer.headers["x-timed"] == "yes"
    caching = "max-age=60" if path == "text" else None
    if caching:
        assert answer.headers["cache-control"] == caching
    else:
        assert "no-store" in answer.headers["cache-control"]
    expected = {"yield": ["open", "close"], "background": ["task of 7"]}
    assert expected.get(path, []) == EVENTS


def test_body_is_read_for_its_caller_alone(app: FastAPI) -> None:
    client = TestClient(app)
    for body in ({"text": "n"}, {"wrong": 1}):
        assert problem(client.post("/api/v1/body", json=body))["status"] == 401
    answer = client.post("/api/v1/body", json={"text": "n"}, headers=authorize(app, 7))
    assert answer.json() == [7, "n"]
    wrong = client.post("/api/v1/body", json={"wrong": 1}, headers=authorize(app, 7))
    assert problem(wrong)["status"] == 422


def test_document_protects_every_kind_of_route(app: FastAPI) -> None:
    paths = TestClient(app).get("/openapi.json").json()["paths"]
    for name in ("class", "yield", "background", "stream", "html", "text"):
        security = paths[f"/api/v1/{name}"]["get"]["security"]
        assert {"bearer": []} in security
