"""Authentication and scope are checked before parameters, headers and bodies."""

from collections.abc import AsyncIterator
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from pydantic import BaseModel
from starlette.routing import Route, Router

from ordergate.application.ports.tokens import Caller
from ordergate.domain.user import UserId
from ordergate.entrypoints.http.security import (
    CurrentUser,
    authenticated,
    authorized,
    bearer_authentication,
)
from ordergate.testing import authorize, create
from tests.support.api.http_client import problem, sign_in
from tests.support.program.command import PASSWORD

JSON = {"Content-Type": "application/json"}
MANY = "&".join(f"p{number}=1" for number in range(40))
WRONG = [
    ("GET", "/order", "", {}),
    ("GET", "/order?id=x", "", {}),
    ("GET", "/order?id=1&id=2", "", {}),
    ("GET", "/order?id=1&page=2", "", {}),
    ("GET", f"/order?{MANY}", "", {}),
    ("GET", f"/order?id={'1' * 9_000}", "", {}),
    ("GET", "/order?id=1", "", {"If-Match": "x"}),
    ("GET", "/orders/x", "", {}),
    ("GET", "/orders?limit=0&status=x&cursor=x", "", {}),
    ("GET", "/orders?page=2", "", {"If-Match": '"1"'}),
    ("POST", "/orders/x/cancel", "", {"If-None-Match": "x"}),
    ("POST", "/orders", "", {}),
    ("POST", "/orders", "{", JSON),
    ("POST", "/orders", "{", {"Content-Type": "text/plain"}),
    ("POST", "/orders?page=2", "{}", JSON),
    ("POST", "/orders", "{}", {**JSON, "Idempotency-Key": '"'}),
    ("GET", "/me?page=2", "", {}),
    ("PUT", "/me/password?page=2", "[]", JSON),
    ("DELETE", "/me", "\xff", JSON),
    ("GET", "/sessions?page=2", "", {}),
    ("DELETE", "/sessions/x", "", {}),
]
"""Requests whose parameters, headers or body are wrong."""


@pytest.mark.parametrize(("method", "path", "body", "headers"), WRONG)
async def test_wrong_request_without_a_valid_token_is_401(
    client: httpx2.AsyncClient, method: str, path: str, body: str, headers: dict[str, str]
) -> None:
    for authorization in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic Og=="}):
        sent = headers | authorization
        answer = await client.request(method, path, content=body.encode("latin-1"), headers=sent)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        problem(answer)


@pytest.mark.parametrize(("method", "path", "body", "headers"), WRONG)
async def test_wrong_request_with_insufficient_scope_is_403(
    client: httpx2.AsyncClient, method: str, path: str, body: str, headers: dict[str, str]
) -> None:
    scope = "account" if path.startswith("/order") else "orders:read"
    form = {"username": "user1", "password": PASSWORD, "scope": scope}
    token = (await client.post("/login", data=form)).json()["access_token"]
    sent = {**headers, "Authorization": f"Bearer {token}"}
    answer = await client.request(method, path, content=body.encode("latin-1"), headers=sent)
    assert answer.status_code == 403
    assert problem(answer)["error"] == "insufficient_scope"


@pytest.mark.parametrize(("method", "path", "body", "headers"), WRONG)
async def test_wrong_request_of_a_caller_says_what_is_wrong(
    client: httpx2.AsyncClient, method: str, path: str, body: str, headers: dict[str, str]
) -> None:
    sent = headers | await sign_in(client)
    answer = await client.request(method, path, content=body.encode("latin-1"), headers=sent)
    assert answer.status_code in {400, 412, 415, 422}
    problem(answer)


async def test_repeated_authorization_is_refused_before_parameters(
    client: httpx2.AsyncClient,
) -> None:
    token = (await sign_in(client))["Authorization"]
    twice = [("Authorization", token), ("Authorization", token)]
    answer = await client.get("/order?page=2", headers=twice)
    assert (answer.status_code, problem(answer)["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["/nothing?page=2", "/orders/1/2"])
async def test_unknown_path_is_404_without_a_token(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_unsupported_method_is_405_without_a_token(client: httpx2.AsyncClient) -> None:
    assert (await client.put("/orders?page=2")).status_code == 405


class Note(BaseModel):
    text: str


async def write_text(note: Note) -> str:
    return note.text


async def refuse(_request: Request) -> Response:
    raise HTTPException(400, "refused")


async def read_page(page: Annotated[int, Query(ge=1)]) -> int:
    return page


def notes() -> APIRouter:
    router = APIRouter()

    @router.post("/notes/{id}")
    async def write_note(id: int, note: Note, page: Annotated[int, Depends(read_page)]) -> str:
        return f"{id} {note.text} {page}"

    @router.post("/broken")
    async def break_note(request: Request) -> None:
        request.app.state.services = None  # the token could not be verified again
        raise HTTPException(400, "broken")

    return router


@pytest.fixture
def app() -> FastAPI:
    """Return an application with routes protected in each documented way."""
    app = create()
    app.include_router(notes(), dependencies=[authenticated])
    app.include_router(notes(), prefix="/public")
    app.include_router(notes(), prefix="/read", dependencies=[authorized("orders:read")])
    mounted = APIRouter(dependencies=[authenticated])
    mounted.add_api_route("/notes", write_text, methods=["POST"])
    app.mount("/mounted", mounted)
    app.mount("/open", Router([Route("/orders", refuse, methods=["POST"])]))

    @app.post("/mine/{id}")
    async def mine(
        id: int, page: Annotated[int, Depends(read_page)], note: Note, user: CurrentUser
    ) -> str:
        return f"{id} {page} {note.text} {user.id}"

    @app.post("/one", dependencies=[authenticated])
    async def one(page: Annotated[int, Depends(read_page)], note: Note) -> str:
        return f"{page} {note.text}"

    return app


@pytest.fixture
async def adopter(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        yield client


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"text": 7}'])
@pytest.mark.parametrize(
    "path", ["/notes/x", "/mine/x?page=0", "/mine/1", "/one", "/read/notes/x", "/mounted/notes"]
)
async def test_wrong_request_for_your_own_route_is_401_without_a_token(
    adopter: httpx2.AsyncClient, path: str, body: bytes
) -> None:
    answer = await adopter.post(path, content=body, headers=JSON)
    assert answer.status_code == 401
    problem(answer)


async def test_wrong_request_for_your_own_route_is_403_without_its_scope(
    adopter: httpx2.AsyncClient, app: FastAPI
) -> None:
    headers = {**JSON, **authorize(app, scopes=())}
    for path, status in (("/notes/x", 422), ("/read/notes/x", 403), ("/public/notes/x", 422)):
        answer = await adopter.post(path, content=b"{", headers=headers)
        assert answer.status_code == status


async def test_oversized_body_of_unknown_size_is_401_without_a_valid_token(
    adopter: httpx2.AsyncClient,
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b" " * 2_000_000

    for path, status in (("/orders", 401), ("/mine/1", 401), ("/public/notes/1", 413)):
        headers = {**JSON, "Authorization": "Bearer x"}
        answer = await adopter.post(path, content=body(), headers=headers)
        assert answer.status_code == status


async def test_refusal_of_your_own_route_is_unchanged_after_authentication(
    adopter: httpx2.AsyncClient, app: FastAPI
) -> None:
    answer = await adopter.post("/broken", headers=authorize(app))
    assert (answer.status_code, problem(answer)["detail"]) == (400, "broken")


@pytest.mark.parametrize("path", ["/public/notes/x", "/public/broken", "/open/orders"])
async def test_public_route_of_your_own_asks_for_no_token(
    adopter: httpx2.AsyncClient, path: str
) -> None:
    assert (await adopter.post(path, content=b"{", headers=JSON)).status_code in {400, 422}


async def test_replaced_authentication_is_not_asked(
    app: FastAPI, adopter: httpx2.AsyncClient
) -> None:
    app.dependency_overrides[bearer_authentication] = lambda: Caller(UserId(1), "tests")
    assert (await adopter.post("/notes/x", content=b"{", headers=JSON)).status_code == 422
    assert (await adopter.post("/broken")).json()["detail"] == "broken"
