"""Forms, uploads and browser sessions of an adopter."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Form, Request, UploadFile
from fastapi.testclient import TestClient
from pydantic import AfterValidator, BaseModel
from starlette.middleware.sessions import SessionMiddleware

from ordergate.entrypoints.http.security import CurrentUser, OptionalUser
from ordergate.testing import authorize, create

LIMIT = 5_000
LARGE = b"a" * 2 * LIMIT
BROKEN = {"content": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data"}}


class Note(BaseModel):
    title: str
    stars: int = 0


def refuse_spaces(text: str) -> str:
    if " " in text:
        raise ValueError("must have no spaces")
    return text


Word = Annotated[str, Form(), AfterValidator(refuse_spaces)]
router = APIRouter()


@router.post("/fields")
async def read_fields(word: Word, user: CurrentUser) -> dict[str, object]:
    return {"word": word, "user": user.id}


@router.post("/model")
async def read_model(note: Annotated[Note, Form()], user: CurrentUser) -> Note:
    return note


@router.post("/file")
async def read_file(file: UploadFile, user: CurrentUser) -> dict[str, object]:
    return {"name": file.filename, "size": len(await file.read())}


@router.post("/files", max_body_size=50_000)
async def read_files(
    files: list[UploadFile], word: Word, user: OptionalUser
) -> tuple[list[str | None], str, bool]:
    return [each.filename for each in files], word, user is not None


@router.post("/parsed-by-hand")
async def parse(request: Request, user: CurrentUser) -> list[str]:
    async with request.form() as form:
        return sorted(form)


@router.get("/count")
async def count(request: Request, user: CurrentUser) -> int:
    request.session["count"] = request.session.get("count", 0) + 1
    return int(request.session["count"])


@pytest.fixture
def app() -> FastAPI:
    app = create(max_body_bytes=LIMIT)
    app.include_router(router)
    app.add_middleware(SessionMiddleware, secret_key="a key of a browser's session")
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, headers=authorize(app, 7)) as client:
        yield client


def test_form_fields_are_read_beside_the_caller(client: TestClient) -> None:
    assert client.post("/fields", data={"word": "a"}).json() == {"word": "a", "user": 7}


def test_form_model_is_read(client: TestClient) -> None:
    answer = client.post("/model", data={"title": "é", "stars": "3"})
    assert answer.json() == {"title": "é", "stars": 3}


def test_file_is_uploaded_with_its_name(client: TestClient) -> None:
    answer = client.post("/file", files={"file": ("grün.txt", b"abc")})
    assert answer.json() == {"name": "grün.txt", "size": 3}


def test_files_and_fields_are_uploaded_together(client: TestClient) -> None:
    files = [("files", ("a", LARGE)), ("files", ("b", b"2"))]
    answer = client.post("/files", files=files, data={"word": "w"})
    assert answer.json() == [["a", "b"], "w", True]


def test_form_is_parsed_by_hand(client: TestClient) -> None:
    answer = client.post("/parsed-by-hand", files={"f": ("a", b"abc")}, data={"x": "1"})
    assert answer.json() == ["f", "x"]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/fields", {"data": {"word": "a"}}),
        ("/model", {"data": {"title": "a"}}),
        ("/file", {"files": {"file": ("a", b"")}}),
    ],
)
def test_form_without_a_token_is_refused(app: FastAPI, path: str, form: dict[str, Any]) -> None:
    with TestClient(app) as client:
        assert client.post(path, **form).status_code == 401


@pytest.mark.parametrize(
    ("path", "form", "status", "detail"),
    [
        ("/fields", {}, 422, "word is missing"),
        ("/fields", {"json": {"word": "a"}}, 422, "word is missing"),
        ("/fields", {"data": {"word": "a b"}}, 422, "word must have no spaces"),
        ("/model", {"data": {"title": "a", "stars": "b"}}, 422, "stars must be a whole number"),
        ("/file", {"data": {"file": "text"}}, 422, "file must be a file of a multipart form"),
        ("/file", {"files": {"other": ("a", b"")}}, 422, "file is missing"),
        ("/file", BROKEN, 400, "Missing boundary in multipart."),
        (
            "/file",
            {"files": {"file": ("a", b"a" * 2 * LIMIT)}},
            413,
            "The request body is too large.",
        ),
    ],
)
def test_wrong_form_is_a_problem(
    client: TestClient, path: str, form: dict[str, Any], status: int, detail: str
) -> None:
    answer = client.post(path, **form)
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)
    assert answer.headers["content-type"] == "application/problem+json"


def test_forms_are_in_the_document(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    bodies = {path: paths[path]["post"]["requestBody"]["content"] for path in ("/fields", "/file")}
    assert [list(body) for body in bodies.values()] == [
        ["application/x-www-form-urlencoded"],
        ["multipart/form-data"],
    ]


def test_browser_session_lives_beside_the_access_token(client: TestClient) -> None:
    assert [client.get("/count").json() for _ in range(3)] == [1, 2, 3]
    client.cookies.clear()
    assert client.get("/count").json() == 1


def test_browser_session_does_not_replace_the_access_token(client: TestClient) -> None:
    client.get("/count")
    del client.headers["Authorization"]
    assert client.cookies
    assert client.get("/count").status_code == 401
