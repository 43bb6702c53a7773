"""WebSocket routes of an adopter."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, WebSocket, WebSocketException
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.tokens import Caller
from ordergate.domain.errors import InvalidMoney
from ordergate.domain.user import UserId
from ordergate.entrypoints.http.security import (
    CurrentUser,
    OptionalUser,
    authenticated,
    authorized,
    bearer_authentication,
)
from ordergate.testing import authorize, create
from tests.support.api.http_client import PROBLEM


@pytest.fixture
def app() -> FastAPI:
    app = create()

    @app.websocket("/mine")
    async def mine(socket: WebSocket, user: CurrentUser) -> None:
        await socket.accept("notes" if "notes" in socket.scope["subprotocols"] else None)
        await socket.send_json({"user": user.id, "id": socket.state.request_id})
        await socket.close()

    @app.websocket("/guarded", dependencies=[authenticated])
    async def guarded(socket: WebSocket, number: int = 0) -> None:
        await socket.accept()
        await socket.send_json(number)

    @app.websocket("/anyone")
    async def anyone(socket: WebSocket, user: OptionalUser) -> None:
        await socket.accept()
        await socket.send_json(user.id if user else None)

    @app.websocket("/account")
    async def account(socket: WebSocket, user: Annotated[Caller, authorized("account")]) -> None:
        await socket.accept()
        await socket.send_json(user.id)

    return app


def refused(client: TestClient, path: str, **options: Any) -> Any:
    """Connect, and return the answer to the refused handshake."""
    options["headers"] = {**options.get("headers", {})}  # the client adds to them
    with pytest.raises(WebSocketDisconnect) as denial:
        client.websocket_connect(path, **options).__enter__()
    return denial.value


def test_good_token_is_accepted(app: FastAPI) -> None:
    headers = {**authorize(app, 7), "X-Request-ID": "the-id"}
    with TestClient(app).websocket_connect("/mine", headers=headers) as socket:
        assert socket.receive_json() == {"user": 7, "id": "the-id"}
    for path in ("/anyone", "/account"):
        with TestClient(app).websocket_connect(path, headers=authorize(app, 7)) as socket:
            assert socket.receive_json() == 7


def test_token_of_a_browser_is_accepted_as_a_protocol(app: FastAPI) -> None:
    token = authorize(app, 7)["Authorization"].removeprefix("Bearer ")
    offered = ["notes", f"bearer.{token}"]
    with TestClient(app).websocket_connect("/mine", subprotocols=offered) as socket:
        assert vars(socket)["accepted_subprotocol"] == "notes"
        assert socket.receive_json()["user"] == 7
    with TestClient(app).websocket_connect("/anyone", subprotocols=offered) as socket:
        assert socket.receive_json() == 7


@pytest.mark.parametrize("path", ["/mine", "/guarded", "/account"])
@pytest.mark.parametrize(
    ("headers", "subprotocols", "status"),
    [
        ({}, None, 401),
        ({"Authorization": "Basic x"}, None, 401),
        ({"Authorization": "Bearer x"}, None, 401),
        ({}, ["notes", "bearer.x"], 401),
        ({}, ["bearer."], 401),
        ({"Authorization": "Bearer x"}, ["bearer.x"], 400),
        ({}, ["bearer.x", "bearer.x"], 400),
    ],
)
def test_other_callers_are_refused_before_accept(
    app: FastAPI, path: str, headers: dict[str, str], subprotocols: list[str] | None, status: int
) -> None:
    answer = refused(TestClient(app), path, headers=headers, subprotocols=subprotocols)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_bad_token_is_refused_for_an_optional_caller(app: FastAPI) -> None:
    answer = refused(TestClient(app), "/anyone", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401
    with TestClient(app).websocket_connect("/anyone") as socket:
        assert socket.receive_json() is None


def test_missing_scope_is_refused(app: FastAPI) -> None:
    token = app.state.services.tokens().issue(Caller(UserId(1), "c", frozenset())).value
    answer = refused(TestClient(app), "/account", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["scope"]) == (403, "account")


def test_server_without_denial_responses_closes(app: FastAPI) -> None:
    async def without_extensions(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "extensions": {}}, receive, send)

    with (
        pytest.raises(WebSocketDisconnect) as closed,
        TestClient(without_extensions).websocket_connect("/mine"),
    ):
        pass
    assert closed.value.code == 1008


def test_wrong_parameter_is_refused(app: FastAPI) -> None:
    answer = refused(TestClient(app), "/guarded?number=x", headers=authorize(app))
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert refused(TestClient(app), "/guarded?number=x").status_code == 401


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (HTTPException(409, {"code": "taken"}), 409, 1008),
        (HTTPException(404, "No such room."), 404, 1008),
        (StorageUnavailable("disk"), 503, 1011),
        (InvalidMoney("a rule"), 422, 1008),
    ],
)
def test_error_of_a_route_refuses_or_closes(error: Exception, status: int, code: int) -> None:
    app = create()

    @app.websocket("/before")
    async def before(socket: WebSocket) -> None:
        raise error

    @app.websocket("/after")
    async def after(socket: WebSocket) -> None:
        await socket.accept()
        raise error

    client = TestClient(app)
    assert refused(client, "/before").status_code == status
    with client.websocket_connect("/after") as socket:
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == code
        assert "disk" not in closed.value.reason


def test_exceptions_of_the_adopter_pass() -> None:
    app = create()

    @app.websocket("/policy")
    async def policy(socket: WebSocket) -> None:
        await socket.accept()
        raise WebSocketException(4001, "enough")

    @app.websocket("/broken")
    async def broken(socket: WebSocket) -> None:
        await socket.accept()
        raise RuntimeError("the reason")

    client = TestClient(app)
    with client.websocket_connect("/policy") as socket:
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert (closed.value.code, closed.value.reason) == (4001, "enough")
    with (
        pytest.raises(RuntimeError, match="the reason"),
        client.websocket_connect("/broken") as socket,
    ):
        socket.receive_json()


def test_error_of_a_closed_socket_crashes_nothing() -> None:
    app = create()

    @app.websocket("/closed")
    async def closed(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(4000)
        raise HTTPException(409, "too late")

    with TestClient(app).websocket_connect("/closed") as socket:
        with pytest.raises(WebSocketDisconnect) as end:
            socket.receive_json()
        assert end.value.code == 4000


def test_mounted_socket_authenticates(app: FastAPI) -> None:
    outer = create()
    inner = FastAPI()

    @inner.websocket("/mine")
    async def mine(socket: WebSocket, user: CurrentUser) -> None:
        await socket.accept()
        await socket.send_json(user.id)

    outer.mount("/inner", inner)
    client = TestClient(outer)
    with client.websocket_connect("/inner/mine", headers=authorize(outer, 7)) as socket:
        assert socket.receive_json() == 7
    assert refused(client, "/inner/mine").status_code == 401


def test_malformed_head_of_a_socket_is_refused(app: FastAPI) -> None:
    headers = {**authorize(app), "Host": "a b"}
    assert refused(TestClient(app), "/mine", headers=headers).status_code == 400


def test_overridden_caller_connects(app: FastAPI) -> None:
    app.dependency_overrides[bearer_authentication] = lambda: Caller(UserId(9), "tests")
    with TestClient(app).websocket_connect("/mine") as socket:
        assert socket.receive_json()["user"] == 9


def test_dependency_with_the_caller_connects() -> None:
    app = create()

    async def number(user: CurrentUser) -> int:
        return user.id

    @app.websocket("/number")
    async def get_number(socket: WebSocket, number: Annotated[int, Depends(number)]) -> None:
        await socket.accept()
        await socket.send_json(number)

    with TestClient(app).websocket_connect("/number", headers=authorize(app, 7)) as socket:
        assert socket.receive_json() == 7
