"""Routes for anonymous and known callers."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from ordergate.entrypoints.http.requests.strict_json import StrictJsonRoute
from ordergate.entrypoints.http.security import CurrentUser, OptionalUser, authenticated
from ordergate.testing import authorize, create


class Note(BaseModel):
    text: str


async def name_caller(user: OptionalUser) -> str:
    return f"user {user.id}" if user else "guest"


@pytest.fixture
def app() -> FastAPI:
    app = create()

    @app.get("/greeting")
    async def greet(user: OptionalUser) -> str:
        return f"Hello, user {user.id}" if user else "Hello, guest"

    @app.get("/blocking")
    def greet_in_a_thread(name: Annotated[str, Depends(name_caller)]) -> str:
        return name

    @app.post("/notes")
    async def write(note: Note, user: OptionalUser) -> str:
        return f"{note.text} by {user.id if user else 'a guest'}"

    @app.get("/both", dependencies=[authenticated])
    async def both(user: OptionalUser) -> bool:
        return user is not None

    @app.get("/known")
    async def known(user: CurrentUser) -> int:
        return user.id

    app.router.add_api_route(
        "/strict",
        write,
        methods=["POST"],
        route_class_override=StrictJsonRoute,
        include_in_schema=False,
    )
    return app


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


@pytest.fixture
def known(app: FastAPI) -> dict[str, str]:
    return authorize(app, 7)


def test_route_answers_anonymous_and_known_callers(
    client: TestClient, known: dict[str, str]
) -> None:
    anonymous = client.get("/greeting")
    assert (anonymous.status_code, anonymous.json()) == (200, "Hello, guest")
    assert anonymous.headers["cache-control"] == "private, no-store"
    assert client.get("/greeting", headers=known).json() == "Hello, user 7"
    assert client.get("/blocking").json() == "guest"
    assert client.get("/blocking", headers=known).json() == "user 7"


@pytest.mark.parametrize("path", ["/notes", "/strict"])
def test_body_is_read_for_anonymous_callers(
    client: TestClient, known: dict[str, str], path: str
) -> None:
    assert client.post(path, json={"text": "x"}).json() == "x by a guest"
    assert client.post(path, json={"text": "x"}, headers=known).json() == "x by 7"
    assert client.post(path, json={}).status_code == 422


@pytest.mark.parametrize("path", ["/greeting", "/blocking", "/notes", "/strict"])
@pytest.mark.parametrize(
    ("credentials", "error"),
    [
        ("Bearer expired", 'error="invalid_token"'),
        ("Bearer ", ""),
        ("Basic YTpi", ""),
        ("", ""),
    ],
)
def test_invalid_credentials_are_refused(
    client: TestClient, path: str, credentials: str, error: str
) -> None:
    method = "POST" if path in {"/notes", "/strict"} else "GET"
    answer = client.request(method, path, headers={"Authorization": credentials})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert error in answer.headers["www-authenticate"]


def test_required_token_stays_required_beside_an_optional_one(
    client: TestClient, known: dict[str, str]
) -> None:
    assert client.get("/both").status_code == client.get("/known").status_code == 401
    assert client.get("/both", headers=known).json() is True


def test_document_says_that_the_token_is_optional(client: TestClient) -> None:
    document: Any = client.get("/openapi.json").json()
    token: list[dict[str, list[str]]] = [{"password": []}, {"bearer": []}]
    assert document["paths"]["/greeting"]["get"]["security"] == [{}, *token]
    assert document["paths"]["/both"]["get"]["security"] == token
    assert document["paths"]["/known"]["get"]["security"] == token
    assert document["components"]["securitySchemes"].keys() == {"password", "bearer"}
