"""Applications below Ordergate, and Ordergate below another application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any
from urllib.parse import urljoin, urlsplit

import pytest
from fastapi import APIRouter, Body, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from ordergate.adapters.memory import InMemoryStorage
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.problems.problem import ProblemError
from ordergate.entrypoints.http.security import (
    CurrentUser,
    UndeclaredScope,
    authenticated,
    authorized,
    bearer_authentication,
)
from ordergate.testing import authorize, create
from tests.support.api.embedding import make_client
from tests.support.api.http_client import PROBLEM, problem
from tests.support.program.command import PASSWORD


def make_notes() -> FastAPI:
    """Return an application with a protected, a public and a failing route."""
    notes = FastAPI(title="Notes")

    @notes.get("/mine")
    async def mine(user: CurrentUser) -> int:
        return user.id

    @notes.get("/admin", dependencies=[authorized("account")])
    async def admin() -> str:
        return "admin"

    @notes.get("/public")
    async def public() -> str:
        return "public"

    @notes.get("/taken")
    async def taken() -> None:
        raise HTTPException(409, {"code": "taken"})

    return notes


def wrapped(app: ASGIApp) -> ASGIApp:
    return CORSMiddleware(app, allow_origins=["*"])


@pytest.mark.parametrize("wrap", [lambda app: app, wrapped])
@pytest.mark.parametrize("path", ["/notes", "/a/b/notes"])
def test_mounted_application_authenticates(wrap: object, path: str) -> None:
    app = create()
    assert callable(wrap)
    app.mount(path, wrap(make_notes()))
    client = make_client(app)
    assert client.get(f"{path}/mine", headers=authorize(app, 7)).json() == 7
    assert client.get(f"{path}/public").json() == "public"
    refused = client.get(f"{path}/mine")
    assert problem(refused)["type"] == "urn:problem-type:ordergate:token-required"
    assert refused.headers["www-authenticate"].startswith("Bearer")
    wrong = client.get(f"{path}/mine", headers={"Authorization": "Bearer x"})
    assert problem(wrong)["error"] == "invalid_token"


def test_deeply_mounted_application_authenticates() -> None:
    app = create()
    outer = Starlette(
        routes=[Mount("/inner", make_notes(), middleware=[Middleware(CORSMiddleware)])]
    )
    app.mount("/outer", outer)
    client = make_client(app)
    assert client.get("/outer/inner/mine", headers=authorize(app, 7)).json() == 7
    assert problem(client.get("/outer/inner/mine"))["status"] == 401


@pytest.mark.parametrize("is_async", [True, False])
def test_mounted_application_checks_tokens_before_bodies(*, is_async: bool) -> None:
    app, notes = create(), make_notes()

    @notes.put("/mine/{id}", dependencies=[authorized("account")])
    async def write(id: int, text: Annotated[str, Body()]) -> str:
        return f"{id} {text}"

    def refuse(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "own"}, 422)

    async def refuse_later(request: Request, error: Exception) -> Response:
        return refuse(request, error)

    notes.add_exception_handler(RequestValidationError, refuse_later if is_async else refuse)
    app.mount("/notes", notes)
    client = make_client(app)
    for path, body in (("/notes/mine/x", "{"), ("/notes/mine/1", ""), ("/notes/mine/x", '"a"')):
        assert problem(client.put(path, content=body))["status"] == 401
        got = client.put(path, content=body, headers=authorize(app, 7))
        assert (got.status_code, got.json()) == (422, {"error": "own"})


def test_mounted_application_keeps_its_own_answers() -> None:
    app, notes = create(), make_notes()
    app.mount("/notes", notes)
    client, plain = make_client(app), make_client(make_notes())
    for path in ("/taken", "/nowhere"):
        got, expected = client.get(f"/notes{path}"), plain.get(path)
        assert (got.status_code, got.json()) == (expected.status_code, expected.json())
        assert got.headers["x-request-id"]


def test_mounted_application_may_answer_refused_callers_itself() -> None:
    app, notes = create(), make_notes()

    @notes.exception_handler(ProblemError)
    async def refuse(request: Request, error: ProblemError) -> Response:
        return JSONResponse({"error": error.problem.name}, error.problem.status)

    app.mount("/notes", notes)
    got = make_client(app).get("/notes/mine")
    assert (got.status_code, got.json()) == (401, {"error": "token-required"})


def test_exception_of_a_mounted_application_is_raised() -> None:
    app, notes = create(), make_notes()

    @notes.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the reason")

    app.mount("/notes", notes)
    with pytest.raises(RuntimeError, match="the reason"):
        TestClient(app).get("/notes/broken", headers=authorize(app))


def test_dependency_overrides_of_a_mounted_application_count() -> None:
    from ordergate.application.ports.tokens import Caller
    from ordergate.domain.user import UserId

    app, notes = create(), make_notes()
    notes.dependency_overrides[bearer_authentication] = lambda: Caller(UserId(9), "tests")
    app.mount("/notes", notes)
    assert make_client(app).get("/notes/mine").json() == 9


def test_document_of_a_mounted_application_authorizes_at_the_right_address() -> None:
    app = create(issuer="https://api.example")
    app.mount("/notes", make_notes())
    client = TestClient(app, base_url="https://api.example")
    for _ in range(2):
        document = client.get("/notes/openapi.json").json()
        schemes = document["components"]["securitySchemes"]
        token_url = schemes["password"]["flows"]["password"]["tokenUrl"]
        assert urljoin("https://api.example/notes/openapi.json", token_url) == (
            "https://api.example/login"
        )
        mine = document["paths"]["/mine"]["get"]
        assert mine["security"] == [{"password": []}, {"bearer": []}]
        assert "security" not in document["paths"]["/public"]["get"]


def test_document_of_a_mounted_application_describes_refusals() -> None:
    app, notes, own = create(), make_notes(), make_notes()
    own.add_exception_handler(ProblemError, lambda *_: JSONResponse({}, 401))
    app.mount("/notes", notes)
    app.mount("/own", own)
    client = make_client(app)
    document = client.get("/notes/openapi.json").json()
    for path, statuses in {
        "/mine": ["200", "400", "401"],
        "/admin": ["200", "400", "401", "403"],
        "/public": ["200"],
    }.items():
        assert list(document["paths"][path]["get"]["responses"]) == statuses
    refused = document["paths"]["/admin"]["get"]["responses"]["403"]
    assert refused["content"][PROBLEM]["schema"] == {"$ref": "#/components/schemas/ProblemDetails"}
    assert document["components"]["schemas"].keys() >= {"ProblemDetails", "InvalidParameter"}
    refused = client.get("/own/openapi.json").json()["paths"]["/admin"]["get"]["responses"]["401"]
    assert refused.keys() == {"description", "headers"}


def test_document_of_a_mounted_application_without_own_tokens_stays() -> None:
    app, plain = create(), FastAPI()
    plain.add_api_route("/public", lambda: "public")
    expected = make_client(plain).get("/openapi.json").json()
    app.mount("/plain", plain)
    got = make_client(app).get("/plain/openapi.json").json()
    assert got == {**expected, "servers": [{"url": "/plain"}]}


# Ordergate below another application


def test_ordergate_below_another_application_serves() -> None:
    app = create()
    app.add_api_route("/mine", lambda: "mine", dependencies=[authenticated])
    outer = FastAPI()
    outer.mount("/auth", app)
    client = make_client(outer)
    account = {"username": "alice", "password": PASSWORD}
    assert client.post("/auth/users", json=account).status_code == 201
    token = client.post("/auth/login", data=account).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/auth/me", headers=headers).json()["username"] == "alice"
    assert client.get("/auth/mine", headers=headers).json() == "mine"
    assert client.get("/auth/mine").status_code == 401
    refused = client.post("/auth/login", data={**account, "password": "x"})
    assert refused.headers["content-type"] == "application/json"  # RFC 6749, section 5.2
    assert client.get("/auth/nowhere").headers["content-type"] == PROBLEM


def test_document_below_another_application_authorizes_at_the_right_address() -> None:
    outer = FastAPI()
    outer.mount("/auth", create())
    client = make_client(outer)
    document = client.get("/auth/openapi.json").json()
    assert document["servers"][0] == {"url": "/auth"}
    flows = document["components"]["securitySchemes"]["password"]["flows"]
    address = urljoin("http://testserver/auth/openapi.json", flows["password"]["tokenUrl"])
    assert urlsplit(address).path == "/auth/login"
    page = client.get("/auth/docs")
    assert page.status_code == 200


def test_routes_beside_ordergate_authenticate() -> None:
    app, outer = create(), FastAPI()
    router = APIRouter(dependencies=[authenticated])

    @router.get("/beside")
    async def beside(user: CurrentUser) -> int:
        return user.id

    outer.include_router(router)
    outer.mount("/auth", wrapped(app))
    client = make_client(outer)
    assert client.get("/beside", headers=authorize(app, 7)).json() == 7
    refused = client.get("/beside")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert "Authorization" in refused.json()["detail"]
    wrong = client.get("/beside", headers={"Authorization": "Bearer x"})
    assert wrong.status_code == 401
    assert "invalid_token" in wrong.headers["www-authenticate"]


def test_application_mounted_beside_ordergate_authenticates_by_it() -> None:
    app, notes = create(), FastAPI(dependencies=[authenticated])
    notes.add_api_route("/mine", lambda: "mine")
    outer = FastAPI(lifespan=app.router.lifespan_context)
    outer.mount("/notes", notes)
    outer.mount("/auth", app)
    with TestClient(outer) as client:
        assert client.get("/notes/mine", headers=authorize(app, 7)).json() == "mine"
        assert client.get("/notes/mine").status_code == 401


def make_outer(mount: str = "/auth", **settings: Any) -> FastAPI:
    """Return an application above Ordergate, with another one beside it."""
    app, notes, beside = create(**settings), make_notes(), make_notes()
    outer = FastAPI(title="Outer", lifespan=app.router.lifespan_context)
    outer.include_router(notes.router)
    outer.mount("/beside", beside)
    outer.mount(mount, wrapped(app))
    return outer


@pytest.mark.parametrize(
    ("settings", "sign_in"),
    [
        ({"issuer": "https://example.com/auth"}, "https://example.com/auth/login"),
        ({"issuer": "https://example.com/auth/"}, "https://example.com/auth/login"),
        ({}, "/auth/login"),
        ({"issuer": "https://auth.example"}, "/auth/login"),
    ],
    ids=str,
)
@pytest.mark.parametrize("prefix", ["", "/beside"])
def test_documents_around_a_mounted_ordergate_authorize_at_the_right_address(
    settings: dict[str, str], sign_in: str, prefix: str
) -> None:
    for _ in range(2):  # each start
        with TestClient(make_outer(**settings)) as client:
            document = client.get(f"{prefix}/openapi.json").json()
            schemes = document["components"]["securitySchemes"]
            assert schemes.keys() == {"password", "bearer"}
            flow = schemes["password"]["flows"]["password"]
            assert flow["tokenUrl"] == sign_in
            assert flow["scopes"].keys() == {"orders:read", "orders:write", "account"}
            mine, admin, public = (
                document["paths"][path]["get"] for path in ("/mine", "/admin", "/public")
            )
            assert mine["security"] == [{"password": []}, {"bearer": []}]
            assert list(mine["responses"]) == ["200", "400", "401"]
            assert list(admin["responses"]) == ["200", "400", "401", "403"]
            refused = admin["responses"]["403"]
            assert refused.keys() == {"description", "headers"}  # the body is the application's
            assert "insufficient_scope" in refused["headers"]["WWW-Authenticate"]["example"]
            assert public.keys().isdisjoint({"security"})
            assert list(public["responses"]) == ["200"]


def test_document_above_an_ordergate_of_another_issuer_takes_its_tokens() -> None:
    settings: dict[str, Any] = {
        "identity_provider": ("oidc",),
        "issuer": "https://id.example",
        "audience": "notes",
    }
    container = Container(settings=Settings(**settings), storage=InMemoryStorage())
    app = create_app(container)
    outer = FastAPI(lifespan=app.router.lifespan_context)
    outer.include_router(make_notes().router)
    outer.mount("/auth", app)
    with TestClient(outer) as client:
        document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"].keys() == {"bearer"}
    admin = document["paths"]["/admin"]["get"]
    assert admin["security"] == [{"bearer": ["account"]}]
    assert "503" in admin["responses"]


def test_document_above_a_deeply_mounted_ordergate_names_its_path() -> None:
    app = create()
    middle, outer = FastAPI(), FastAPI(lifespan=app.router.lifespan_context)
    middle.mount("/auth", app)
    outer.mount("/api", middle)
    outer.include_router(make_notes().router)
    with TestClient(outer) as client:
        document = client.get("/openapi.json").json()
    flows = document["components"]["securitySchemes"]["password"]["flows"]
    assert flows["password"]["tokenUrl"] == "/api/auth/login"


@pytest.mark.parametrize("prefix", ["", "/beside", "/auth"])
def test_refusals_around_a_mounted_ordergate_lead_to_its_metadata(prefix: str) -> None:
    outer = make_outer(issuer="https://example.com/auth")
    path = "/me" if prefix == "/auth" else "/admin"
    with TestClient(outer) as client:
        for headers in ({}, {"Authorization": "Bearer x"}, authorize(outer, scopes=[])):
            refused = client.get(f"{prefix}{path}", headers=headers)
            assert refused.status_code in {401, 403}
            challenge = refused.headers["www-authenticate"]
            assert challenge.count("resource_metadata") == 1
            assert challenge.endswith(
                'resource_metadata="https://example.com/.well-known/oauth-protected-resource/auth"'
            )


def test_lifespan_below_another_application_runs() -> None:
    events = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        events.append("start")
        yield
        events.append("end")

    app = create(lifespan=lifespan)
    outer = FastAPI(lifespan=app.router.lifespan_context)
    outer.mount("/auth", app)
    with TestClient(outer) as client:
        assert client.get("/auth/readyz").json() == {"status": "ok"}
    assert events == ["start", "end"]


def test_startup_handlers_on_both_sides_of_a_mount_run_once() -> None:
    events: list[str] = []
    app = create()
    outer = FastAPI(lifespan=app.router.lifespan_context)
    outer.mount("/auth", app)
    for name, each in {"own": app, "outer": outer}.items():
        each.router.add_event_handler("startup", partial(events.append, f"start {name}"))
        each.router.add_event_handler("shutdown", partial(events.append, f"end {name}"))
    with TestClient(outer):
        assert events == ["start own", "start outer"]
    assert events[2:] == ["end outer", "end own"]


@pytest.mark.parametrize("wrap", [lambda app: app, wrapped])
def test_undeclared_scope_of_a_mounted_application_is_refused_at_the_start(wrap: object) -> None:
    app, notes = create(), FastAPI()
    notes.add_api_route("/mine", lambda: "mine", dependencies=[authorized("notes:read")])
    assert callable(wrap)
    app.mount("/notes", wrap(notes))
    with pytest.raises(UndeclaredScope, match="GET /notes/mine"), TestClient(app):
        pass


def test_two_ordergates_keep_their_callers_apart() -> None:
    first, second = create(), create(issuer="https://second.example")
    for app in (first, second):
        app.add_api_route("/mine", lambda: "mine", dependencies=[authenticated])
    first.mount("/second", second)
    client = make_client(first)
    assert client.get("/second/mine", headers=authorize(second)).json() == "mine"
    assert client.get("/second/mine", headers=authorize(first)).status_code == 401
    assert client.get("/mine", headers=authorize(first)).json() == "mine"


def test_application_without_ordergate_is_reported() -> None:
    plain = FastAPI()
    plain.add_api_route("/mine", lambda: "mine", dependencies=[authenticated])
    with pytest.raises(RuntimeError, match=r"create\(\)"):
        TestClient(plain).get("/mine", headers={"Authorization": "Bearer x"})
