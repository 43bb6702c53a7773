"""Answers and logs of unexpected errors."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import redirect_stderr

import httpx2
import pytest
from fastapi import FastAPI, HTTPException
from starlette.responses import StreamingResponse

from ordergate.adapters.memory import InMemoryOrderRepository, InMemoryStorage
from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.tokens import Caller
from ordergate.application.sessions.revocation import NoRevocation
from ordergate.domain.order import Order, OrderId
from ordergate.domain.scope import Scope
from ordergate.domain.user import UserId
from ordergate.entrypoints.config.logs import configure_logging
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.doubles import InstantPasswordHasher

SECRET = "a secret of more than thirty-two bytes"


class BrokenOrderRepository(InMemoryOrderRepository):
    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        password = "hunter2"
        raise RuntimeError(f"cannot read {order_id} of {owner} with {len(password)} letters")


@pytest.fixture(params=["json", "text"])
def settings(request: pytest.FixtureRequest) -> Settings:
    return Settings(signing_secret=SECRET, log_format=request.param, log_level="warning")


@pytest.fixture(autouse=True)
def log(settings: Settings) -> Iterator[io.StringIO]:
    """Log to a replaced standard error, and restore the log afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with redirect_stderr(io.StringIO()) as log:
        configure_logging(settings)
    yield log
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    storage = InMemoryStorage()
    return create_app(
        Container(
            settings=settings,
            storage=storage,
            orders=BrokenOrderRepository(storage.tables),
            hasher=InstantPasswordHasher(),
            revocation=NoRevocation(),
        )
    )


async def get(app: FastAPI, address: str, *, raises: bool = False) -> httpx2.Response:
    token = app.state.services.tokens().issue(Caller(UserId(1), "c", frozenset(Scope))).value
    headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "the-id"}
    transport = httpx2.ASGITransport(app, raise_app_exceptions=raises)
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        return await client.get(address, headers=headers)


async def test_unexpected_error_is_described_in_the_log_alone(
    app: FastAPI, settings: Settings, log: io.StringIO
) -> None:
    answer = await get(app, "/order?id=7")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "Something went wrong on our side; the request id helps us find it.",
        "request_id": "the-id",
    }
    logged = log.getvalue()
    assert "unexpected_error" in logged
    assert "the-id" in logged
    assert "cannot read 7 of 1" in logged
    assert "get_owned" in logged
    if settings.log_format == "json":
        assert [json.loads(line)["event"] for line in logged.splitlines()] == ["unexpected_error"]


async def test_reason_of_a_503_is_logged_and_not_answered(app: FastAPI, log: io.StringIO) -> None:
    @app.get("/unavailable")
    async def unavailable() -> None:
        raise StorageUnavailable("SQLite: disk I/O error")

    answer = await get(app, "/unavailable")
    assert answer.status_code == 503
    assert "disk" not in answer.text
    assert "SQLite: disk I/O error" in log.getvalue()
    assert "the-id" in log.getvalue()


async def test_log_contains_no_terminal_control_characters(app: FastAPI, log: io.StringIO) -> None:
    @app.get("/unavailable/{what}")
    async def unavailable(what: str) -> None:
        raise StorageUnavailable(what)

    await get(app, "/unavailable/%1b[31m%0ared")
    assert "\x1b" not in log.getvalue()
    assert "31mred" in log.getvalue()
    assert len(log.getvalue().splitlines()) == 1


async def test_request_cancelled_by_a_shutdown_is_503(app: FastAPI, log: io.StringIO) -> None:
    @app.get("/slow")
    async def slow() -> None:
        raise asyncio.CancelledError

    answer = await get(app, "/slow")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["detail"] == "The service is restarting; try again soon."
    assert log.getvalue() == ""


async def test_client_errors_are_not_logged(app: FastAPI, log: io.StringIO) -> None:
    assert (await get(app, "/order?id=x")).status_code == 422
    assert log.getvalue() == ""


async def test_values_of_variables_are_not_logged(app: FastAPI, log: io.StringIO) -> None:
    await get(app, "/order?id=7")
    logged = log.getvalue()
    assert "unexpected_error" in logged
    assert "hunter2" not in logged.replace('password = "hunter2"', "")


async def test_detail_of_a_routers_error_is_kept(app: FastAPI) -> None:
    @app.get("/note")
    async def note() -> None:
        raise HTTPException(404, "No such note.")

    @app.get("/odd")
    async def odd() -> None:
        raise HTTPException(499)

    answer = await get(app, "/note")
    assert (answer.status_code, answer.json()["detail"]) == (404, "No such note.")
    answer = await get(app, "/odd")
    assert (answer.status_code, answer.json()["title"]) == (499, "Error")


async def test_error_during_the_answer_is_not_answered(app: FastAPI, log: io.StringIO) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"the beginning"
        raise RuntimeError("no more")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(chunks())

    with pytest.raises(RuntimeError, match="no more"):
        await get(app, "/stream", raises=True)
    assert "unexpected_error" in log.getvalue()
