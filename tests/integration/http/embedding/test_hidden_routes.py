"""Routes of an adopter with the address of an own route."""

from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

from ordergate.entrypoints.http.hidden_routes import HiddenRoute
from tests.support.embedding import authorize, make_app, make_client
from tests.support.http_client import problem


@pytest.fixture
def app() -> FastAPI:
    return make_app()


@pytest.mark.parametrize("path", ["/me", "/orders/{number}", "/orders/export", "/docs", "/livez"])
def test_hidden_route_is_refused_at_the_start(app: FastAPI, path: str) -> None:
    router = APIRouter()
    router.add_api_route(path, lambda: "mine")
    app.include_router(router)
    with pytest.raises(HiddenRoute, match=f"GET {path[:6]}.*prefix"), TestClient(app):
        pass


def test_routes_beside_own_ones_are_reached(app: FastAPI) -> None:
    app.add_api_route("/users", lambda: "listed")
    app.add_api_route("/me", lambda: "patched", methods=["PATCH"])
    app.add_api_route("/mine/me", lambda: "mine")
    with TestClient(app) as client:
        assert client.get("/users").json() == "listed"
        assert client.patch("/me").json() == "patched"
        assert client.get("/mine/me").json() == "mine"
        assert client.get("/me", headers=authorize(app)).status_code in {200, 401}


def test_bare_address_belongs_to_the_adopter(app: FastAPI, tmp_path: Path) -> None:
    app.add_api_route("/", lambda: "mine")
    with TestClient(app) as client:
        assert client.get("/").json() == "mine"
    (tmp_path / "index.html").write_text("<h1>Mine</h1>")
    app = make_app()
    app.mount("/", StaticFiles(directory=tmp_path, html=True))
    with TestClient(app) as client:
        assert client.get("/").text == "<h1>Mine</h1>"
        assert client.get("/livez").json() == {"status": "ok"}


def test_bare_address_leads_to_the_documentation(app: FastAPI) -> None:
    client = make_client(app)
    for method in ("GET", "HEAD"):
        answer = client.request(method, "/", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (307, "docs")
    assert problem(client.post("/"))["status"] == 404
    outer = FastAPI()
    outer.mount("/auth", app)
    assert make_client(outer).get("/auth").url.path == "/auth/docs"
