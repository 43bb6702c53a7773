"""Error answers of an adopter's code are sent as they are."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response

from ordergate.entrypoints.http.security import CurrentUser, authenticated
from ordergate.testing import authorize, create
from tests.support.api.embedding import list_values, make_client
from tests.support.api.http_client import PROBLEM, problem


class OutOfStockError(Exception):
    """An error of the adopter's own."""


class Conflict(BaseModel):
    code: str


@pytest.fixture
def app() -> FastAPI:
    return create()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (JSONResponse({"code": "taken"}, 409), '{"code":"taken"}'),
        (PlainTextResponse("no coffee", 418), "no coffee"),
        (HTMLResponse("<h1>Gone</h1>", 410), "<h1>Gone</h1>"),
        (Response(status_code=404), ""),
        (JSONResponse({"status": "degraded", "queue": 7}, 503), '{"status":"degraded","queue":7}'),
        (JSONResponse({"oops": True}, 500), '{"oops":true}'),
        (JSONResponse({"type": "urn:mine"}, 422, media_type="application/vnd.mine+json"), None),
    ],
)
def test_error_response_of_a_route_is_unchanged(
    app: FastAPI, answer: Response, text: str | None
) -> None:
    @app.get("/mine")
    async def mine() -> Response:
        return answer

    got = make_client(app).get("/mine")
    assert got.status_code == answer.status_code
    assert got.text == text or text is None
    assert got.headers.get("content-type") == answer.headers.get("content-type")
    assert got.headers["x-request-id"]
    assert got.headers["x-content-type-options"] == "nosniff"


def test_stream_with_an_error_status_is_unchanged(app: FastAPI) -> None:
    @app.get("/mine")
    async def mine() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]), 502, media_type="text/csv")

    got = make_client(app).get("/mine")
    assert (got.status_code, got.text) == (502, "ab")


def test_response_parameter_sets_the_status_of_an_error(app: FastAPI) -> None:
    @app.get("/health", dependencies=[authenticated])
    async def health(response: Response) -> dict[str, str]:
        response.status_code = 503
        return {"status": "degraded"}

    got = make_client(app).get("/health", headers=authorize(app))
    assert (got.status_code, got.json()) == (503, {"status": "degraded"})


@pytest.mark.parametrize("status", [200, 401, 409])
def test_repeated_headers_of_an_answer_stay_repeated(app: FastAPI, status: int) -> None:
    @app.get("/mine")
    async def mine() -> Response:
        answer = JSONResponse({}, status)
        for name, value in (("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Link", "<a>")):
            answer.headers.append(name, value)
        answer.headers.append("WWW-Authenticate", 'Basic realm="a"')
        answer.headers.append("WWW-Authenticate", "Bearer")
        return answer

    got = make_client(app).get("/mine")
    assert list_values(got, "set-cookie") == ["a=1", "b=2"]
    assert list_values(got, "www-authenticate") == ['Basic realm="a"', "Bearer"]


@pytest.mark.parametrize("kind", [HTTPException, StarletteHTTPException])
@pytest.mark.parametrize("detail", [{"code": "taken", "field": "name"}, [{"loc": ["a"]}], 7, True])
def test_detail_that_is_no_text_stays(
    app: FastAPI, kind: Callable[..., Exception], detail: object
) -> None:
    @app.get("/mine")
    async def mine() -> None:
        raise kind(409, detail, {"X-Kept": "yes"})

    got = make_client(app).get("/mine")
    assert (got.status_code, got.json()) == (409, {"detail": detail})
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-kept"] == "yes"


def test_detail_that_is_text_becomes_the_detail_of_a_problem(app: FastAPI) -> None:
    @app.get("/mine")
    async def mine() -> None:
        raise HTTPException(404, "No such note.", {"X-Kept": "yes"})

    got = make_client(app).get("/mine")
    assert problem(got)["detail"] == "No such note."
    assert (got.status_code, got.headers["x-kept"]) == (404, "yes")


@pytest.mark.parametrize("status", [404, 405, 413])
def test_missing_detail_does_not_describe_the_address(app: FastAPI, status: int) -> None:
    @app.get("/mine")
    async def mine() -> None:
        raise HTTPException(status, headers={"Allow": "TRACE"})

    got = make_client(app).get("/mine")
    assert problem(got)["detail"] == f"{problem(got)['title']}."
    assert got.headers["allow"] == "TRACE"


def test_redirect_of_a_dependency_is_no_problem(app: FastAPI) -> None:
    async def require_a_cookie(request: Request) -> None:
        raise HTTPException(307, headers={"Location": "/sign-in"})

    @app.get("/mine", dependencies=[Depends(require_a_cookie)])
    async def mine() -> None: ...

    @app.get("/cached")
    async def cached() -> None:
        raise HTTPException(304, headers={"ETag": '"1"'})

    client = make_client(app)
    got = client.get("/mine", follow_redirects=False)
    assert (got.status_code, got.headers["location"]) == (307, "/sign-in")
    assert got.json() == {"detail": "Temporary Redirect"}
    got = client.get("/cached")
    assert (got.status_code, got.content, got.headers["etag"]) == (304, b"", '"1"')


def test_handlers_of_the_adopter_answer(app: FastAPI) -> None:
    @app.exception_handler(OutOfStockError)
    async def out_of_stock(request: Request, error: OutOfStockError) -> Response:
        return JSONResponse({"code": "out-of-stock", "of": str(error)}, 409)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        return JSONResponse({"mistakes": len(error.errors())}, 400)

    @app.exception_handler(StarletteHTTPException)
    async def failed(request: Request, error: StarletteHTTPException) -> Response:
        return JSONResponse({"error": {"message": error.detail}}, error.status_code)

    @app.get("/mine/{number}")
    async def mine(number: int) -> None:
        if number == 1:
            raise OutOfStockError("POT")
        raise HTTPException(402, "Pay first.")

    client = make_client(app)
    got = client.get("/mine/1")
    assert (got.status_code, got.json()) == (409, {"code": "out-of-stock", "of": "POT"})
    got = client.get("/mine/2")
    assert (got.status_code, got.json()) == (402, {"error": {"message": "Pay first."}})
    got = client.get("/mine/x")
    assert (got.status_code, got.json()) == (400, {"mistakes": 1})
    got = client.get("/nowhere")
    assert (got.status_code, got.json()) == (404, {"error": {"message": "Not Found"}})


def test_handler_for_a_status_answers(app: FastAPI) -> None:
    @app.exception_handler(404)
    async def missing(request: Request, error: Exception) -> Response:
        return HTMLResponse("<h1>Nothing here</h1>", 404)

    got = make_client(app).get("/nowhere")
    assert (got.status_code, got.text) == (404, "<h1>Nothing here</h1>")


def test_dependency_with_yield_sees_the_error_of_its_route(app: FastAPI) -> None:
    seen = []

    async def transaction() -> AsyncIterator[str]:
        try:
            yield "open"
        except HTTPException as error:
            seen.append(error.status_code)
            raise

    @app.get("/mine")
    async def mine(opened: Annotated[str, Depends(transaction)], user: CurrentUser) -> None:
        raise HTTPException(409, {"is": opened})

    got = make_client(app).get("/mine", headers=authorize(app))
    assert (got.status_code, got.json(), seen) == (409, {"detail": {"is": "open"}}, [409])


def test_errors_of_the_framework_are_problems(app: FastAPI) -> None:
    @app.post("/mine/{number}")
    async def mine(number: int, body: Conflict) -> None: ...

    client = make_client(app)
    assert problem(client.get("/nowhere"))["status"] == 404
    refused = client.get("/mine/1")
    assert problem(refused)["status"] == 405
    assert refused.headers["allow"] == "OPTIONS, POST"
    assert problem(client.post("/mine/x", json={"code": "c"}))["status"] == 422
    assert problem(client.post("/mine/1", content=b"x" * 300_000))["status"] == 413
    kind = {"Content-Type": "application/json"}
    chunks = (b"x" * 1_000 for _ in range(300))
    assert problem(client.post("/mine/1", content=chunks, headers=kind))["status"] == 413


def test_smaller_limit_of_a_router_answers_with_a_problem(app: FastAPI) -> None:
    router = APIRouter(max_body_size=10)

    @router.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    @router.post("/ignored")
    async def ignored() -> None: ...

    app.include_router(router)
    client = make_client(app)
    assert client.post("/read", content=b"x" * 10).json() == 10
    for path in ("/read", "/ignored"):
        assert problem(client.post(path, content=b"x" * 11))["status"] == 413


def test_refused_caller_is_a_problem_beside_own_handlers(app: FastAPI) -> None:
    @app.exception_handler(StarletteHTTPException)
    async def failed(request: Request, error: StarletteHTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code)

    app.add_api_route("/mine", lambda: "mine", dependencies=[authenticated])
    got = make_client(app).get("/mine")
    assert (got.status_code, got.headers["content-type"]) == (401, PROBLEM)
