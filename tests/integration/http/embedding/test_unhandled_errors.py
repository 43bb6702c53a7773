"""An unhandled exception reaches the adopter's handler and everything around the application."""

import logging

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from ordergate.entrypoints.http.security import authenticated
from ordergate.testing import authorize, create
from tests.support.api.embedding import make_client
from tests.support.api.http_client import problem


class ErrorReporter:
    """A middleware around an application, as vendors of error reports have them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            self.seen.append(str(error))
            raise


@pytest.fixture
def app() -> FastAPI:
    app = create(cors_origins="https://shop.example")

    @app.get("/broken", dependencies=[authenticated])
    async def broken() -> None:
        raise RuntimeError("the reason")

    return app


def test_client_of_tests_raises_the_exception(app: FastAPI) -> None:
    with pytest.raises(RuntimeError, match="the reason"):
        TestClient(app).get("/broken", headers=authorize(app))


def test_own_route_raises_the_exception(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no orders")

    monkeypatch.setattr(type(app.state.services.orders()), "get_owned", fail)
    with pytest.raises(RuntimeError, match="no orders"):
        TestClient(app).get("/order?id=1", headers=authorize(app))


def test_unhandled_exception_is_answered_with_a_problem_and_logged(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    origin = {"Origin": "https://shop.example", "X-Request-ID": "the-id"}
    got = make_client(app).get("/broken", headers={**authorize(app), **origin})
    assert problem(got)["status"] == 500
    assert "the reason" not in got.text
    assert got.headers["access-control-allow-origin"] == "https://shop.example"
    (record,) = caplog.records
    assert (record.message, vars(record)["request_id"]) == ("unexpected_error", "the-id")


def test_reporter_around_the_application_sees_the_exception(app: FastAPI) -> None:
    reporter = ErrorReporter(app)
    client = TestClient(reporter, raise_server_exceptions=False)
    assert client.get("/broken", headers=authorize(app)).status_code == 500
    assert reporter.seen == ["the reason"]


def test_reporter_in_the_application_sees_the_exception(app: FastAPI) -> None:
    seen: list[ErrorReporter] = []

    def make_reporter(inner: ASGIApp) -> ErrorReporter:
        seen.append(ErrorReporter(inner))
        return seen[-1]

    app.add_middleware(make_reporter)
    assert make_client(app).get("/broken", headers=authorize(app)).status_code == 500
    assert seen[-1].seen == ["the reason"]


@pytest.mark.parametrize("key", [Exception, 500])
@pytest.mark.parametrize("raises", [True, False])
def test_handler_for_exceptions_answers(
    app: FastAPI, key: type[Exception] | int, raises: bool
) -> None:
    seen = []

    @app.exception_handler(key)
    async def report(request: Request, error: Exception) -> Response:
        seen.append(str(error))
        return JSONResponse({"error": "sorry", "id": request.state.request_id}, 500)

    headers = {**authorize(app), "X-Request-ID": "the-id"}
    if raises:
        with pytest.raises(RuntimeError, match="the reason"):
            TestClient(app).get("/broken", headers=headers)
    else:
        got = make_client(app).get("/broken", headers=headers)
        assert (got.status_code, got.json()) == (500, {"error": "sorry", "id": "the-id"})
        assert got.headers["x-request-id"] == "the-id"
        assert got.headers["x-content-type-options"] == "nosniff"
    assert seen == ["the reason"]


def test_failing_handler_for_exceptions_is_answered_with_a_problem(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)

    @app.exception_handler(Exception)
    async def report(request: Request, error: Exception) -> Response:
        raise LookupError("no reporter")

    got = make_client(app).get("/broken", headers=authorize(app))
    assert problem(got)["status"] == 500


def test_exception_of_a_background_task_reaches_the_client_of_tests(app: FastAPI) -> None:
    from fastapi import BackgroundTasks

    @app.get("/later")
    async def later(tasks: BackgroundTasks) -> str:
        def fail() -> None:
            raise RuntimeError("too late")

        tasks.add_task(fail)
        return "begun"

    assert make_client(app).get("/later").json() == "begun"
    with pytest.raises(RuntimeError, match="too late"):
        TestClient(app).get("/later")
