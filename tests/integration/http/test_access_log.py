"""One line of the log for each request."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Message, Scope

from ordergate.adapters.memory import InMemoryStorage
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.doubles import InstantPasswordHasher
from tests.support.program.command import PASSWORD

FIELDS = ("event", "method", "route", "status", "bytes", "user_id", "address", "request_id")
SECRET_TEXT = "what-only-the-client-chose"


def make_container(**settings: Any) -> Container:
    return Container(
        settings=Settings(
            signing_secret="a secret of more than thirty-two bytes",
            **{"access_log": True, "max_body_bytes": 1_024, **settings},
        ),
        storage=InMemoryStorage(),
        hasher=InstantPasswordHasher(),
    )


def connect(app: FastAPI) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 5_000))
    return httpx2.AsyncClient(transport=transport, base_url="http://in.process")


@pytest.fixture
def container() -> Container:
    return make_container()


@pytest.fixture
def app(container: Container) -> FastAPI:
    app = create_app(container)
    notes = APIRouter()

    @notes.get("/{name}")
    async def read(name: str) -> str:
        raise RuntimeError(name)

    app.include_router(notes, prefix="/notes")
    app.include_router(notes, prefix="/old-notes")
    below = FastAPI()
    below.include_router(notes, prefix="/all")
    app.mount("/below", below)
    return app


@pytest.fixture
async def client(app: FastAPI, container: Container) -> AsyncIterator[httpx2.AsyncClient]:
    await container.seed_storage()(users=1, orders=1, password=PASSWORD)
    async with connect(app) as client:
        yield client


async def sign_in_for(client: httpx2.AsyncClient, scope: str) -> dict[str, str]:
    """Sign in for one scope; return the header of the token."""
    form = {"username": "user1", "password": PASSWORD, "scope": scope}
    answer = await client.post("/login", data=form)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    records = [record for record in caplog.records if record.name == "ordergate.access"]
    fields = [{"event": record.getMessage(), **vars(record)} for record in records]
    assert all(0 <= each["ms"] < 60_000 for each in fields)
    assert not any(SECRET_TEXT in str(vars(record)) for record in records)
    return [{name: each[name] for name in FIELDS if name in each} for each in fields]


def line(answer: httpx2.Response, route: str, **more: object) -> dict[str, object]:
    return {
        "event": "request_finished",
        "method": answer.request.method,
        "route": route,
        "status": answer.status_code,
        "bytes": len(answer.content),
        "address": "192.0.2.7",
        "request_id": answer.headers["x-request-id"],
        **more,
    }


async def test_line_of_an_own_order_has_the_template_and_the_user(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    user = await sign_in_for(client, "orders:read")
    caplog.clear()
    answers = [
        await client.get("/orders/1", headers={**user, "X-Request-ID": "the-id"}),
        await client.get("/order?id=1", headers=user),
        await client.get("/orders/1?no=parameter", headers=user),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    routes = ["/orders/{id}", "/order", "/orders/{id}"]
    assert lines(caplog) == [
        line(answer, route, user_id=1) for answer, route in zip(answers, routes, strict=True)
    ]
    assert lines(caplog)[0]["request_id"] == "the-id"


async def test_refused_requests_have_lines(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    path = f"/orders/{SECRET_TEXT}"
    reader = await sign_in_for(client, "orders:read")
    caplog.clear()
    without_scope = await client.post("/orders", headers=reader, json={})
    refused = {
        "/orders": await client.get("/orders"),
        "/orders/{id}": await client.get(path),
        "/order": await client.delete(f"/order?{SECRET_TEXT}"),
        "unmatched": await client.get(f"/{SECRET_TEXT}?{SECRET_TEXT}=1"),
        "/login": await client.post("/login", content=b"x" * 2_000),
    }
    malformed = await client.get("/livez", headers={"Host": "two hosts"})
    statuses = [answer.status_code for answer in refused.values()]
    assert (without_scope.status_code, statuses) == (403, [401, 401, 405, 404, 413])
    assert malformed.status_code == 400
    # What is refused before the routes has none, as the body that FastAPI would read.
    seen = [line(answer, route) for route, answer in refused.items()]
    assert lines(caplog)[0] == line(without_scope, "/orders", user_id=1)
    assert lines(caplog)[1:-1] == seen
    assert lines(caplog)[-1] == line(malformed, "unmatched")


async def test_methods_that_are_implied_have_one_line(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    head = await client.head("/livez")
    options = await client.options("/order")
    assert lines(caplog) == [line(head, "/livez"), line(options, "/order")]


async def test_unknown_method_is_not_quoted(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.request("WHATONLYTHECLIENTCHOSE", "/livez")
    assert lines(caplog) == [line(answer, "/livez", method="OTHER")]


@pytest.mark.parametrize(
    "template",
    ["/notes/{name}", "/old-notes/{name}", "/below/all/{name}"],
)
async def test_template_of_an_adopter_has_every_prefix(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture, template: str
) -> None:
    answer = await client.get(template.replace("{name}", SECRET_TEXT))
    assert answer.status_code == 500
    assert [(each["route"], each["status"]) for each in lines(caplog)] == [(template, 500)]


class CountedRoute(Route):
    """A route that counts the requests that are compared with it."""

    def __init__(self) -> None:
        super().__init__("/counted", lambda _: Response())
        self.compared = 0

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        self.compared += 1
        return super().matches(scope)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/no/such/path", "unmatched"),
        ("/notes/x/", "unmatched"),  # a redirect
        ("/notes/x", "/notes/{name}"),
        ("/again/notes/x", "/again/notes/{name}"),
    ],
)
async def test_routes_are_not_compared_with_a_request_again(
    path: str, template: str, caplog: pytest.LogCaptureFixture
) -> None:
    notes = APIRouter(prefix="/notes")

    @notes.get("/{name}")
    async def read(name: str) -> str:
        return name

    compared = []
    for access_log in (False, True):
        app = create_app(make_container(access_log=access_log))
        counted = CountedRoute()
        app.router.routes.insert(0, counted)  # before all, so FastAPI serves every request
        app.include_router(notes)
        app.include_router(notes, prefix="/again")
        async with connect(app) as client:
            await client.get(path)
        compared.append(counted.compared)
    assert compared[0] == compared[1] > 0
    assert [each["route"] for each in lines(caplog)] == [template]


async def test_route_of_a_body_that_is_too_large_is_known(
    app: FastAPI, client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    app.router.routes.insert(0, CountedRoute())  # before all, so no route is compiled
    answer = await client.post("/login", content=b"x" * 2_000)
    assert answer.status_code == 413
    assert [each["route"] for each in lines(caplog)] == ["/login"]


async def test_client_that_leaves_before_the_answer_has_a_line(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        pass

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/login",
        "raw_path": b"/login",
        "query_string": b"",
        "headers": [
            (b"host", b"in.process"),
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"content-length", b"9"),
        ],
        "client": None,
        "server": ("in.process", 80),
    }
    await app(scope, leave, send)
    (only,) = lines(caplog)
    assert (only["route"], only["status"], only["address"]) == ("/login", 499, "")


async def test_line_names_the_client_behind_a_trusted_proxy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connect(create_app(make_container(trusted_proxies="192.0.2.7"))) as client:
        await client.get("/livez", headers={"X-Forwarded-For": "198.51.100.9"})
    assert [each["address"] for each in lines(caplog)] == ["198.51.100.9"]


async def test_preflight_has_a_line(caplog: pytest.LogCaptureFixture) -> None:
    origin = "https://shop.example"
    async with connect(create_app(make_container(cors_origins=origin))) as client:
        headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        answer = await client.options("/orders", headers=headers)
    assert answer.status_code == 200
    assert lines(caplog) == [line(answer, "unmatched")]


async def test_access_log_is_off_by_default(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(signing_secret="a secret of more than thirty-two bytes")
    app = create_app(Container(settings=settings, storage=InMemoryStorage()))
    async with connect(app) as client:
        await client.get("/livez")
    assert lines(caplog) == []
    assert "NotedRoutes" not in str(app.user_middleware)
