"""The lifespan, startup handlers, middleware and log of an adopter."""

import logging
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.httpsredirect import HTTPSRedirectMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from ordergate.entrypoints import asgi
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.security import authenticated
from ordergate.testing import authorize, create, make_container
from tests.support.api.embedding import SECRET, make_services
from tests.support.api.http_client import problem


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORDERGATE_SIGNING_SECRET", SECRET)
    monkeypatch.setenv("ORDERGATE_HOME", str(tmp_path))


# The lifespan


def test_lifespan_of_the_adopter_runs_inside_of_the_service() -> None:
    events = []
    services = make_services()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        await app.state.services.storage().ping()
        events.append("start")
        yield {"pool": "open"}
        await app.state.services.storage().ping()
        events.append("end")

    app = create_app(services, lifespan=lifespan)

    @app.get("/pool", dependencies=[authenticated])
    async def pool(request: Request) -> str:
        return str(request.state.pool)

    with TestClient(app) as client:
        assert events == ["start"]
        assert client.get("/pool", headers=authorize(app)).json() == "open"
    assert events == ["start", "end"]


def test_failing_lifespan_ends_the_start() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if app.state.services:
            raise RuntimeError("no pool")
        yield

    with (
        pytest.raises(RuntimeError, match="no pool"),
        TestClient(create(lifespan=lifespan)),
    ):
        pass


def test_create_takes_a_lifespan() -> None:
    events = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        events.append("start")
        yield
        events.append("end")

    with TestClient(asgi.create(make_container, lifespan=lifespan)):
        assert events == ["start"]
    assert events == ["start", "end"]


def test_startup_handlers_run_once_each() -> None:
    events: list[str] = []

    async def open_pool() -> None:
        events.append("open pool")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        router = APIRouter()
        router.add_event_handler("startup", lambda: events.append("start router"))
        router.add_event_handler("shutdown", lambda: events.append("end router"))
        app = create()
        app.include_router(router)
        app.router.add_event_handler("startup", open_pool)
        app.router.add_event_handler("shutdown", lambda: events.append("close pool"))
    with TestClient(app):
        assert events == ["open pool", "start router"]
    assert events[2:] == ["end router", "close pool"]


def test_lifespan_of_a_router_runs() -> None:
    events = []

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        events.append("start")
        yield
        events.append("end")

    app = create()
    app.include_router(APIRouter(lifespan=lifespan))
    with TestClient(app):
        assert events == ["start"]
    assert events == ["start", "end"]


# Middleware

FORWARDED = {"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https"}


class Limiter:
    """A middleware that refuses an address."""

    def __init__(self, app: ASGIApp, refused: str) -> None:
        self.app = app
        self.refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self.app
        if scope["type"] == "http" and scope["client"][0] == self.refused:
            answer = PlainTextResponse("slow down", 429)
        await answer(scope, receive, send)


def behind_a_proxy(app: FastAPI) -> TestClient:
    return TestClient(app, client=("10.0.0.9", 4711), follow_redirects=False)


@pytest.mark.parametrize("path", ["/livez", "/mine"])
def test_redirect_to_https_sees_the_scheme_of_the_client(path: str) -> None:
    app = create(trusted_proxies="10.0.0.9")
    app.add_middleware(HTTPSRedirectMiddleware)
    app.add_api_route("/mine", lambda: "mine")
    client = behind_a_proxy(app)
    assert client.get(path, headers=FORWARDED).status_code == 200
    redirected = client.get(path, headers={**FORWARDED, "X-Forwarded-Proto": "http"})
    assert redirected.status_code == 307
    assert redirected.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/livez", "/mine"])
def test_limiter_sees_the_address_of_the_client(path: str) -> None:
    app = create(trusted_proxies="10.0.0.9")
    app.add_middleware(Limiter, refused="203.0.113.5")
    app.add_api_route("/mine", lambda: "mine")
    client = behind_a_proxy(app)
    refused = client.get(path, headers=FORWARDED)
    assert (refused.status_code, refused.text) == (429, "slow down")
    assert client.get(path).status_code == 200


def test_middleware_of_both_kinds_sees_the_request_id_and_every_route() -> None:
    app = create(cors_origins="https://shop.example")
    seen = []

    @app.middleware("http")
    async def observe(request: Request, call_next: RequestResponseEndpoint) -> Response:
        answer = await call_next(request)
        seen.append((request.url.path, request.state.request_id, answer.status_code))
        answer.headers["X-Observed"] = "yes"
        return answer

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["api.example"])
    app.add_api_route("/mine", lambda: "mine", dependencies=[authenticated])
    client = TestClient(app, base_url="http://api.example")
    headers = {"X-Request-ID": "the-id", "Origin": "https://shop.example"}
    own = client.get("/order?id=1", headers={**headers, **authorize(app)})
    assert problem(own)["status"] == 404
    mine = client.get("/mine", headers={**headers, **authorize(app)})
    refused = client.get("/mine", headers=headers)
    assert {answer.headers["x-observed"] for answer in (own, mine, refused)} == {"yes"}
    assert seen == [("/order", "the-id", 404), ("/mine", "the-id", 200), ("/mine", "the-id", 401)]
    wrong_host = client.get("/livez", headers={"Host": "evil.example", **headers})
    assert (wrong_host.status_code, wrong_host.text) == (400, "Invalid host header")
    assert wrong_host.headers["x-request-id"] == "the-id"
    assert wrong_host.headers["access-control-allow-origin"] == "https://shop.example"


# Operation ids


def test_operation_ids_of_own_routers_are_those_of_fastapi() -> None:
    app = create()
    for prefix in ("/notes", "/tasks"):
        router = APIRouter(prefix=prefix)

        @router.get("/{number}")
        async def read(number: int) -> int:
            return number

        app.include_router(router)

    @app.get("/me-too")
    async def me() -> str:
        return ""

    named = APIRouter(generate_unique_id_function=lambda route: f"my-{route.name}")
    named.add_api_route("/named", me)
    app.include_router(named)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = app.openapi()["paths"]
    assert paths["/notes/{number}"]["get"]["operationId"] == "read_notes__number__get"
    assert paths["/tasks/{number}"]["get"]["operationId"] == "read_tasks__number__get"
    assert paths["/me-too"]["get"]["operationId"] == "me_me_too_get"
    assert paths["/named"]["get"]["operationId"] == "my-me"
    own = {
        path: operation["operationId"]
        for path, operations in create().openapi()["paths"].items()
        for operation in operations.values()
    }
    assert own["/order"] == "read_order_by_query"
    assert own["/login"] == "login"


# The log


@contextmanager
def root_logger(*handlers: logging.Handler) -> Iterator[logging.Logger]:
    """Replace the root logger's handlers temporarily, and restore Ordergate's."""
    root, own = logging.getLogger(), logging.getLogger("ordergate")
    before = root.handlers[:], root.level, own.handlers[:], own.level
    root.handlers[:], own.handlers[:] = handlers, []
    try:
        yield root
    finally:
        root.handlers[:], own.handlers[:] = before[0], before[2]
        root.setLevel(before[1])
        own.setLevel(before[3])


def test_create_leaves_the_root_logger_alone() -> None:
    records: list[str] = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record.getMessage())

    recorder = Recorder()
    with root_logger(recorder) as root:
        level = root.level
        asgi.create(make_container)
        assert (root.handlers, root.level) == ([recorder], level)
    assert "bounds_left_to_the_server" in records


def test_log_is_written_once_with_and_without_handlers_of_the_adopter(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with root_logger():
        asgi.create(make_container)
        for handler in logging.getLogger("ordergate").handlers:
            handler.flush()
        assert capfd.readouterr().err.count("bounds_left_to_the_server") == 1
        asgi.create(make_container)
        logging.basicConfig(format="mine: %(message)s")
        logging.getLogger("ordergate.server").error("later")
        for handler in logging.getLogger("ordergate").handlers:
            handler.flush()
        logged = capfd.readouterr().err
    assert logged.count("bounds_left_to_the_server") == 1
    assert [line for line in logged.splitlines() if "later" in line] == ["mine: later"]
