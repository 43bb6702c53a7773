"""Routes of an adopter with the address of an own route."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from ordergate.entrypoints.http.hidden_routes import HiddenRoute
from ordergate.testing import authorize, create
from tests.support.api.embedding import make_client
from tests.support.api.http_client import problem


@pytest.fixture
def app() -> FastAPI:
    return create()


@pytest.mark.parametrize("path", ["/me", "/orders/{number}", "/orders/export", "/docs", "/livez"])
def test_hidden_route_is_refused_at_the_start(app: FastAPI, path: str) -> None:
    router = APIRouter()
    router.add_api_route(path, lambda: "mine")
    app.include_router(router)
    with pytest.raises(HiddenRoute, match=f"GET {path[:6]}.*prefix"), TestClient(app):
        pass


def test_hidden_route_is_named_with_the_route_that_hides_it(app: FastAPI) -> None:
    app.add_api_route("/orders/export", lambda: "mine", methods=["GET", "POST"])
    with pytest.raises(HiddenRoute) as refusal, TestClient(app):
        pass
    assert str(refusal.value).startswith(
        "no request reaches GET /orders/export (hidden by GET /orders/{id}), because"
    )


def make_export() -> FastAPI:
    export = FastAPI(openapi_url=None)
    export.add_api_route("/export", lambda: "mine")
    return export


def make_outer(path: str) -> Starlette:
    return Starlette(routes=[Mount(path, make_export())])


@pytest.mark.parametrize(
    ("path", "make", "hidden"),
    [
        ("/orders", make_export, "GET /orders/export (hidden by GET /orders/{id})"),
        ("/orders", lambda: CORSMiddleware(make_export()), "GET /orders/export ("),
        ("", lambda: make_outer("/orders"), "GET /orders/export ("),
        ("/docs", lambda: StaticFiles(directory="."), "GET /docs/… (hidden by GET /docs/{asset})"),
        ("/orders", lambda: PlainTextResponse("mine"), "GET /orders/… ("),
    ],
)
def test_mounted_application_with_hidden_routes_is_refused_at_the_start(
    app: FastAPI, path: str, make: Callable[[], ASGIApp], hidden: str
) -> None:
    app.mount(path, make())
    with pytest.raises(HiddenRoute) as refusal, TestClient(app):
        pass
    assert hidden in str(refusal.value)


def test_hidden_documentation_of_a_mounted_application_is_logged(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    whole = FastAPI(redoc_url=None)
    whole.add_api_route("/", lambda: "mine")
    app.mount("/", whole)
    with TestClient(app) as client:
        assert client.get("/").json() == "mine"
    (record,) = (each for each in caplog.records if each.message == "documentation_hidden")
    assert vars(record)["routes"] == "GET /openapi.json, GET /docs, GET /docs/oauth2-redirect"


def test_mounted_application_beside_own_routes_is_reached(app: FastAPI, tmp_path: Path) -> None:
    writing = FastAPI(openapi_url=None)
    writing.add_api_route("/", lambda: "listed")
    writing.add_api_route("/import", lambda: "imported", methods=["POST"])
    writing.add_api_route("/a/b/c", lambda: "deep")
    app.mount("/orders", writing)
    (tmp_path / "security.txt").write_text("Contact")
    app.mount("/.well-known", StaticFiles(directory=tmp_path))
    with TestClient(app) as client:
        assert client.get("/orders/").json() == "listed"
        assert client.post("/orders/import").json() == "imported"
        assert client.get("/orders/a/b/c").json() == "deep"
        assert client.get("/.well-known/security.txt").text == "Contact"


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
    app = create()
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
