"""A compiled route answers as FastAPI does, to the byte."""

from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Response
from pydantic import BaseModel, SecretStr

from adapters.memory import InMemoryStorage
from entrypoints.container import Container
from entrypoints.http import orders, sessions
from entrypoints.http.app import create_app
from entrypoints.http.compiled_route import CompiledRoute, add_routes
from entrypoints.settings import Settings


class Table(BaseModel):
    name: str


async def number(n: Annotated[int, Query(ge=1)], m: Annotated[int, Query(le=9)] = 5) -> int:
    return n + m


async def agent(user_agent: Annotated[str, Header()]) -> str:
    return user_agent


def routes() -> APIRouter:
    router = APIRouter(route_class=CompiledRoute, dependencies=[Depends(agent)])

    @router.get("/tables/{id}", name="table")
    async def table(
        id: int, size: Annotated[int, Depends(number)], response: Response, kind: str = "round"
    ) -> Table:
        response.headers["X-Size"] = str(size)
        return Table(name=f"{kind} {id}")

    @router.delete("/tables/{id}", name="remove_table", status_code=204)
    async def remove_table(id: int) -> None:
        pass

    @router.get("/many", name="many")
    async def many(kind: Annotated[list[str], Query()]) -> list[str]:
        return kind

    @router.post("/tables", name="add_table")
    async def add_table(table: Table) -> Table:
        return table

    return router


@pytest.fixture
def both() -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    """Return the same routes as FastAPI includes them, and compiled."""
    included, compiled = FastAPI(), FastAPI()
    included.include_router(routes())
    add_routes(compiled, routes())
    return client_of(included), client_of(compiled)


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://in.process")


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
        ("GET", "/many?kind=a&kind=b"),
        ("GET", "/many"),
        ("POST", "/tables"),
    ],
)
async def test_the_answer_is_the_same(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient], method: str, path: str
) -> None:
    answers = []
    for client in both:
        async with client:
            for headers in ({}, {"User-Agent": "a test"}):
                answer = await client.request(method, path, headers=headers)
                answers.append((answer.status_code, answer.headers.multi_items(), answer.content))
    assert answers[:2] == answers[2:]


def test_what_is_simple_is_compiled_and_nothing_else() -> None:
    app, router = FastAPI(), routes()
    add_routes(app, router)
    compiled = {route.name: bool(route._calls) for route in router.routes}  # type: ignore[attr-defined] # of ours
    assert compiled == {"table": True, "remove_table": True, "many": False, "add_table": False}


def test_what_is_read_most_is_compiled() -> None:
    settings = Settings(signing_secret=SecretStr("a secret of more than thirty-two bytes"))
    create_app(Container(settings=settings, storage=InMemoryStorage()))
    compiled = {
        route.name
        for router in (orders.router, sessions.router)
        for route in router.routes
        if isinstance(route, CompiledRoute) and route._calls
    }
    assert compiled >= {"read_order", "read_order_by_query", "list_orders", "list_sessions"}
