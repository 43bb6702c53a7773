"""Pages of other origins (CORS)."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import Response

from ordergate.testing import create
from tests.support.api.http_client import problem, sign_in

ORIGIN = "https://shop.example"


def preflight(method: str = "GET", headers: str = "", origin: str = ORIGIN) -> dict[str, str]:
    """Return the headers of a preflight."""
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return {**asked, "Access-Control-Request-Headers": headers} if headers else asked


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/order?id=1", "GET", "authorization,if-none-match"),
        ("/order?id=1", "HEAD", "authorization"),
        ("/orders", "POST", "authorization,content-type,idempotency-key,if-match"),
        ("/me/password", "PUT", "authorization,content-type,x-request-id"),
        ("/me", "DELETE", "authorization"),
        ("/orders", "GET", "authorization,baggage,sentry-trace,traceparent,tracestate"),
        ("/nothing", "PATCH", "Traceparent, Authorization"),
    ],
)
async def test_preflight_of_a_configured_origin_passes(
    client: httpx2.AsyncClient, path: str, method: str, headers: str
) -> None:
    answer = await client.options(path, headers=preflight(method, headers))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (preflight(origin="https://evil.example"), "origin"),
        (preflight("TRACE"), "method"),
        (preflight(headers="authorization,x-tenant"), "headers"),
        (preflight("TRACE", "x-tenant", "https://evil.example"), "origin, method, headers"),
    ],
)
async def test_refused_preflight_names_its_reason(
    client: httpx2.AsyncClient, asked: dict[str, str], reason: str
) -> None:
    answer = await client.options("/order?id=1", headers=asked)
    assert answer.status_code == 400
    assert problem(answer)["detail"] == f"Disallowed CORS {reason}."
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == (None if "origin" in reason else ORIGIN)
    assert "Origin" in answer.headers["vary"]


async def test_answers_to_a_configured_origin_are_readable(client: httpx2.AsyncClient) -> None:
    for path in ("/nothing", "/orders"):
        response = await client.get(path, headers={"Origin": ORIGIN})
        assert response.headers["access-control-allow-origin"] == ORIGIN
    user = await sign_in(client) | {"Origin": ORIGIN}
    exposed = (await client.get("/orders", headers=user)).headers["access-control-expose-headers"]
    assert {"ETag", "Link", "Location", "WWW-Authenticate"} <= set(exposed.split(", "))


async def test_preflight_of_further_configured_headers_passes() -> None:
    app = create(cors_origins=[ORIGIN], cors_headers=["X-Tenant", "X-Page"])
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        for headers in ("x-tenant", "X-Page, traceparent", "authorization,x-page,x-tenant"):
            answer = await client.options("/notes", headers=preflight("POST", headers))
            assert answer.status_code == 200
        answer = await client.options("/notes", headers=preflight("POST", "x-other"))
        assert answer.status_code == 400


@pytest.fixture
async def shutdown() -> AsyncIterator[httpx2.AsyncClient]:
    """Serve an application whose routes fail or are cancelled."""
    app = create(cors_origins=[ORIGIN], cors_methods=["QUERY"], cors_exposed_headers=["X-Total"])

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the reason")

    @app.get("/interrupted")
    async def interrupted() -> None:
        raise asyncio.CancelledError

    @app.api_route("/found", methods=["QUERY"])
    async def find(response: Response) -> list[int]:
        response.headers["X-Total"] = "0"
        return []

    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/broken", {}, 500),
        ("/interrupted", {}, 503),
        ("/nothing", {}, 404),
        ("/orders", {"Cookie": "x" * 70_000}, 431),
        ("/orders", {"Host": "a b"}, 400),
        ("/%6Frders", {}, 404),
    ],
)
async def test_page_can_read_every_problem(
    shutdown: httpx2.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await shutdown.get(path, headers={"Origin": ORIGIN, **headers})
    assert (answer.status_code, problem(answer)["status"]) == (status, status)
    assert answer.headers.get_list("access-control-allow-origin") == [ORIGIN]
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
    assert answer.headers.get_list("vary") == ["Origin"]
    other = await shutdown.get(path, headers={"Origin": "https://evil.example", **headers})
    assert "access-control-allow-origin" not in other.headers
    assert other.headers["vary"] == "Origin"


async def test_configured_methods_and_headers_reach_an_own_route(
    shutdown: httpx2.AsyncClient,
) -> None:
    asked = await shutdown.options("/found", headers=preflight("QUERY"))
    assert asked.status_code == 200
    assert asked.headers.get_list("access-control-allow-origin") == [ORIGIN]
    assert "QUERY" in asked.headers["access-control-allow-methods"].split(", ")
    answer = await shutdown.request("QUERY", "/found", headers={"Origin": ORIGIN})
    assert answer.json() == []
    assert "X-Total" in answer.headers["access-control-expose-headers"].split(", ")
