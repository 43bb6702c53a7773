"""A compiled route answers as FastAPI does, to the byte."""

import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Annotated

import httpx2
import pytest
from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    Security,
)
from fastapi.exceptions import ResponseValidationError
from fastapi.responses import StreamingResponse
from fastapi.security import SecurityScopes
from pydantic import BaseModel, Field, SecretStr

from ordergate.adapters.memory import InMemoryStorage
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.compiled.route_table import RouteTable, compile_routes
from ordergate.entrypoints.http.problems.problem import ProblemError
from ordergate.entrypoints.http.requests.strict_json import StrictJsonRoute


class Table(BaseModel):
    name: str


async def number(n: Annotated[int, Query(ge=1)], m: Annotated[int, Query(le=9)] = 5) -> int:
    return n + m


async def agent(user_agent: Annotated[str, Header()]) -> str:
    return user_agent


class Chair(BaseModel):
    name: str
    legs: int = Field(default=4, ge=3)


class Owned(Table):
    owner: str


class Maker:
    def __init__(self, name: str = "Thonet") -> None:
        self.name = name

    async def __call__(self) -> None:
        """Be no reason to be awaited when one is made."""


class TableTaken(Exception):
    pass


async def table_taken(_request: Request, _error: Exception) -> Response:
    return Response(status_code=409)


async def reader(needed: SecurityScopes, agent: Annotated[str, Depends(agent)]) -> list[str]:
    if agent == "nobody":
        raise HTTPException(403, needed.scope_str)
    return [agent, *needed.scopes]


def routes() -> APIRouter:
    router = APIRouter(dependencies=[Depends(agent)])

    @router.get("/tables/{id}", name="table")
    async def table(
        id: int, size: Annotated[int, Depends(number)], response: Response, kind: str = "round"
    ) -> Table:
        response.headers["X-Size"] = str(size)
        return Table(name=f"{kind} {id}")

    @router.delete("/tables/{id}", name="remove_table", status_code=204)
    async def remove_table(id: int) -> None:
        pass

    @router.get("/tables", name="tables")
    async def tables(
        one: Annotated[list[str], Security(reader, scopes=["one"])],
        both: Annotated[list[str], Security(reader, scopes=["one", "two"])],
        again: Annotated[list[str], Security(reader, scopes=["one"])],
        *,
        size: int = 4,
        name: Annotated[str, Query(max_length=3)] = "",
    ) -> list[str | int]:
        if name == "old":
            raise TableTaken
        return [*one, *both, *again, size, name]

    @router.get("/many", name="many")
    async def many(kind: Annotated[list[str], Query()]) -> list[str]:
        return kind

    @router.post("/tables", name="add_table")
    async def add_table(table: Table) -> Table:
        return table

    return router


def odd_routes() -> APIRouter:
    router = APIRouter()

    @router.get("/owned", name="owned", response_model=Table)
    async def owned(response: Response, size: int = 0) -> object:
        response.headers["cache-control"] = "private"
        response.headers["Cache-Control"] = "no-store"
        return (
            {"name": "oak", "owner": "nobody's business"} if size else Owned(name="ash", owner="x")
        )

    @router.get("/bare", name="bare", response_model_exclude_none=True)
    async def bare() -> Chair:
        return Chair(name="Windsor")

    @router.get("/drawn", name="drawn")
    async def drawn(number: Annotated[int, Query(default_factory=count().__next__)]) -> int:
        return number

    @router.get("/made", name="made")
    async def made(by: Annotated[Maker, Depends(Maker)]) -> str:
        return by.name

    return router


def strict_routes() -> APIRouter:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/chairs/{id}", name="add_chair", status_code=201)
    async def add_chair(
        id: int, chair: Chair, one: Annotated[list[str], Security(reader, scopes=["one"])]
    ) -> list[str | int]:
        return [id, chair.name, chair.legs, *one]

    @router.post("/stools", name="add_stools")
    async def add_stools(one: Table, two: Table) -> list[str]:
        return [one.name, two.name]

    return router


def compiled(*routers: APIRouter, max_body_size: int = 1_000_000) -> FastAPI:
    app = FastAPI()
    for router in routers:
        app.include_router(router)
    compile_routes(app, max_body_size=max_body_size)
    return app


async def answer_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.problem.response("")


@pytest.fixture
def clients() -> list[httpx2.AsyncClient]:
    """Return clients of the same routes, answered by FastAPI and compiled."""
    by_fastapi, by_table = FastAPI(), compiled(routes(), odd_routes(), strict_routes())
    for make in (routes, odd_routes, strict_routes):
        by_fastapi.include_router(make())
    for app in (by_fastapi, by_table):
        app.add_exception_handler(TableTaken, table_taken)
        app.add_exception_handler(ProblemError, answer_problem)
    return [make_client(app) for app in (by_fastapi, by_table)]


def make_client(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://in.process")


async def assert_same(
    clients: list[httpx2.AsyncClient],
    method: str,
    path: str,
    *headers: dict[str, str],
    body: bytes | None = None,
) -> None:
    """Call each client with each header, and compare all bytes of answers."""
    reported = []
    for client in clients:
        async with client:
            answers = [
                await client.request(method, path, content=body, headers=each) for each in headers
            ]
        reported.append([(a.status_code, a.headers.multi_items(), a.content) for a in answers])
    assert reported[0] == reported[1]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/tables/7?n=1"),
        ("GET", "/tables/7?n=1&m=2&kind=square"),
        ("GET", "/tables/seven?n=0&m=10"),
        ("GET", "/tables/seven"),
        ("GET", "/tables/7?n=1&n=2"),
        ("GET", "/tables/7?n="),
        ("DELETE", "/tables/7"),
        ("DELETE", "/tables/x"),
        ("PUT", "/tables/7"),
        ("HEAD", "/tables/7"),
        ("GET", "/tables/"),
        ("GET", "/tables/a/b"),
        ("GET", "/tables"),
        ("GET", "/tables?size=3&name=oak"),
        ("GET", "/tables?size=x&name=linden"),
        ("GET", "/tables?name=old"),
        ("PATCH", "/tables"),
        ("GET", "/%74ables"),
        ("GET", "/owned"),
        ("GET", "/owned?size=1"),
        ("GET", "/bare"),
        ("GET", "/made?name=Eames"),
        ("GET", "/many?kind=a&kind=b"),
        ("GET", "/many"),
        ("POST", "/tables"),
    ],
)
async def test_compiled_route_has_the_same_answer(
    clients: list[httpx2.AsyncClient], method: str, path: str
) -> None:
    agents: list[dict[str, str]] = [{}, {"User-Agent": "a test"}, {"User-Agent": "nobody"}]
    await assert_same(clients, method, path, *agents)


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "Windsor"}',
        b'{"name": "Windsor", "legs": 3}',
        b'{"legs": 2}',
        b"[]",
        b"null",
        b"",
        b"{",
        b'{"name": "Windsor", "name": "Thonet"}',
        b"\xff",
        b"[" * 5_000,
    ],
)
@pytest.mark.parametrize("path", ["/chairs/7", "/chairs/x", "/stools"])
async def test_compiled_route_has_the_same_answer_to_a_body(
    clients: list[httpx2.AsyncClient], path: str, body: bytes
) -> None:
    kinds = ({"Content-Type": f"application/json{rest}"} for rest in ("", "; charset=utf-8"))
    await assert_same(clients, "POST", path, *kinds, body=body)


async def test_body_is_not_read_when_the_caller_is_refused() -> None:
    app = compiled(strict_routes())

    async def body() -> AsyncIterator[bytes]:
        yield b""
        raise AssertionError("it was read")

    headers = {"User-Agent": "nobody", "Content-Type": "application/json"}
    async with make_client(app) as client:
        answer = await client.post("/chairs/7", content=body(), headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize(("slow_seconds", "calls"), [(-1, 2), (60, 1)])
async def test_dependencies_are_called_again_after_a_slow_body(
    slow_seconds: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The route gets the results of the second call."""
    monkeypatch.setattr("ordergate.entrypoints.http.compiled.plan._SLOW_BODY_SECONDS", slow_seconds)
    numbers = count(1)

    async def call() -> int:
        return next(numbers)

    async def caller(call: Annotated[int, Depends(call)]) -> str:
        return f"caller of call {call}"

    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/tables/{id}")
    async def add_table(id: int, table: Table, caller: Annotated[str, Depends(caller)]) -> str:
        return f"{table.name} {id} {caller}"

    app = compiled(router)
    async with make_client(app) as client:
        answer = await client.post("/tables/7", json={"name": "oak"})
    assert answer.json() == f"oak 7 caller of call {calls}"


def table_of(app: FastAPI) -> RouteTable:
    """Return the table that the application's requests pass through."""
    layer = app.build_middleware_stack()
    while not isinstance(layer, RouteTable):
        layer = vars(layer)["app"]
    return layer


def names_of_compiled(app: FastAPI) -> set[str]:
    return {str(route.name) for route in table_of(app).compiled}


def test_compile_routes_compiles_simple_routes_only() -> None:
    app = compiled(routes(), odd_routes(), strict_routes())
    assert names_of_compiled(app) == {"table", "remove_table", "tables", "owned", "add_chair"}


def test_simple_routes_alone_are_compiled() -> None:
    settings = Settings(signing_secret=SecretStr("a secret of more than thirty-two bytes"))
    app = create_app(Container(settings=settings, storage=InMemoryStorage()))
    assert names_of_compiled(app) >= {
        "place_order",
        "read_order",
        "read_order_by_query",
        "list_orders",
        "cancel_order",
        "list_sessions",
        "login",
    }


@pytest.mark.parametrize(("path", "query"), [("/order", b"id=1"), ("/orders/1", b"")])
@pytest.mark.parametrize("root_path", ["", "/shop"])
async def test_compiled_route_is_found_below_a_root_path(
    root_path: str, path: str, query: bytes
) -> None:
    settings = Settings(signing_secret=SecretStr("a secret of more than thirty-two bytes"))
    app = create_app(Container(settings=settings, storage=InMemoryStorage()))
    scope = {
        "type": "http",
        "method": "GET",
        "path": root_path + path,
        "root_path": root_path,
        "query_string": query,
        "headers": [],
    }
    route = table_of(app)._find(scope)
    assert route is not None
    assert str(route.name).startswith("read_order")


async def answer(app: FastAPI, path: str) -> str:
    async with make_client(app) as client:
        return (await client.get(path)).text


def answering(path: str, text: str) -> APIRouter:
    router = APIRouter()

    @router.get(path)
    async def route() -> str:
        return text

    return router


async def original() -> str:
    return "original"


def overridable() -> APIRouter:
    router = APIRouter()

    @router.get("/value")
    async def value(value: Annotated[str, Depends(original)]) -> str:
        return value

    return router


async def test_dependency_override_is_obeyed_after_the_start() -> None:
    app = compiled(overridable())
    assert await answer(app, "/value") == '"original"'

    async def replacement() -> str:
        return "replacement"

    app.dependency_overrides[original] = replacement
    assert await answer(app, "/value") == '"replacement"'
    app.dependency_overrides.clear()
    assert await answer(app, "/value") == '"original"'


async def test_route_inserted_first_answers_first() -> None:
    app = compiled(answering("/value", "compiled"))
    assert await answer(app, "/value") == '"compiled"'
    app.router.routes.insert(0, answering("/value", "inserted").routes[0])
    assert await answer(app, "/value") == '"inserted"'


async def test_router_included_later_is_answered_by_fastapi() -> None:
    app = compiled(answering("/value", "compiled"))
    assert await answer(app, "/value") == '"compiled"'
    app.include_router(answering("/value", "later"))
    app.include_router(answering("/other", "later"))
    assert await answer(app, "/value") == '"compiled"'
    assert await answer(app, "/other") == '"later"'


async def test_exception_handler_added_after_the_routes_answers() -> None:
    app = compiled(routes())
    app.add_exception_handler(TableTaken, table_taken)
    async with make_client(app) as client:
        assert (await client.get("/tables?name=old")).status_code == 409


async def test_earlier_route_with_parameters_precedes_a_static_path() -> None:
    app = compiled(answering("/values/{name}", "any"), answering("/values/one", "one"))
    assert await answer(app, "/values/one") == '"any"'


async def test_earlier_uncompiled_route_precedes_a_compiled_one() -> None:
    router = APIRouter()

    @router.get("/values/one", response_model_exclude_none=True)
    async def one() -> str:
        return "by FastAPI"

    app = compiled(router, answering("/values/{name}", "compiled"))
    assert await answer(app, "/values/one") == '"by FastAPI"'
    assert await answer(app, "/values/two") == '"compiled"'


async def test_untested_version_of_fastapi_compiles_no_route(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fastapi.__version__", "99.0.0")
    app = compiled(answering("/value", "by FastAPI"))
    assert app.user_middleware == []
    assert await answer(app, "/value") == '"by FastAPI"'


async def test_result_that_breaks_the_response_model_is_an_error() -> None:
    router = APIRouter()

    @router.get("/table", response_model=Table)
    async def table() -> object:
        return {"title": "of no table"}

    app = compiled(router)
    async with make_client(app) as client:
        with pytest.raises(ResponseValidationError):
            await client.get("/table")


async def test_error_after_the_answer_started_is_not_answered() -> None:
    router = APIRouter()

    @router.get("/stream", response_model=Table)
    async def stream() -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            raise HTTPException(404)

        return StreamingResponse(pieces())

    app = compiled(router)
    async with make_client(app) as client:
        with pytest.raises(HTTPException):
            await client.get("/stream")


@pytest.mark.parametrize("path", ["/chairs", "/tables"])
async def test_body_limit_applies_to_every_compiled_route(path: str) -> None:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("/chairs", name="find_chairs")
    async def find_chairs(like: Table) -> str:
        return like.name

    @router.get("/tables", name="all_tables")
    async def all_tables() -> str:
        return "all"

    app = compiled(router, max_body_size=100)
    body = json.dumps({"name": "x" * 100})
    async with make_client(app) as client:
        answer = await client.request(
            "GET", path, content=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 413
