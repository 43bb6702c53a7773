"""Answers of every route: problems, limits, request ids, headers and health."""

import gzip
import re
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx2
import pytest

from tests.support.api.http_client import place_order, problem, sign_in
from tests.support.program.command import PASSWORD


@pytest.mark.parametrize(
    "address", ["/nothing", "/orders/", "/orders/1/", "/%00", "/docs/secret", "//", "/order/"]
)
async def test_unknown_path_is_answered_with_a_problem(
    client: httpx2.AsyncClient, address: str
) -> None:
    response = await client.get(httpx2.URL(str(client.base_url).rstrip("/") + address))
    assert response.status_code == 404
    problem(response)


@pytest.mark.parametrize(
    ("method", "address", "allow"),
    [
        ("GET", "/login", "OPTIONS, POST"),
        ("POST", "/order?id=1", "GET, HEAD, OPTIONS"),
        ("DELETE", "/orders/1", "GET, HEAD, OPTIONS"),
        ("PUT", "/orders", "GET, HEAD, OPTIONS, POST"),
        ("GET", "/orders/1/cancel", "OPTIONS, POST"),
    ],
)
async def test_unsupported_method_is_answered_with_the_supported_ones(
    client: httpx2.AsyncClient, method: str, address: str, allow: str
) -> None:
    response = await client.request(method, address)
    assert response.status_code == 405
    assert response.headers["allow"] == allow
    problem(response)


@pytest.mark.parametrize(
    ("address", "kind"),
    [("/login", "application/x-www-form-urlencoded"), ("/users", "application/json")],
)
async def test_body_size_is_limited(client: httpx2.AsyncClient, address: str, kind: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(270):
            yield b"x" * 1024

    headers = {"Content-Type": kind}
    for content in (b"x" * 270_000, chunks()):
        response = await client.post(address, content=content, headers=headers)
        assert response.status_code == 413
        body = problem(response)
        assert body["title"] == "Content Too Large"
        assert body["detail"] == "The request body is too large."
    response = await client.post(address, content=b"a=" + b"x" * 262_142, headers=headers)
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("address", "kind", "body"),
    [
        ("/login", "application/x-www-form-urlencoded", b"username=a&password=b"),
        ("/users", "application/json", b'{"username": "a", "password": "b"}'),
    ],
)
@pytest.mark.parametrize("coding", ["gzip", "identity, br", "Identity"])
async def test_body_with_a_content_coding_is_refused(
    client: httpx2.AsyncClient, address: str, kind: str, body: bytes, coding: str
) -> None:
    headers = {"Content-Type": kind, "Content-Encoding": coding}
    content = gzip.compress(body) if coding == "gzip" else body
    response = await client.post(address, content=content, headers=headers)
    if coding == "Identity":
        assert response.status_code in {400, 422}
        return
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")
    assert "without Content-Encoding" in str(problem(response)["detail"])


@pytest.mark.parametrize("given", ["abc", "A-b_c.9", "x" * 64])
async def test_request_id_is_accepted_and_returned(client: httpx2.AsyncClient, given: str) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given", [None, "", "x" * 65, "a b", "<script>", "é".encode().decode("latin-1")]
)
async def test_any_other_request_id_is_replaced(
    client: httpx2.AsyncClient, given: str | None
) -> None:
    headers = {} if given is None else {b"X-Request-ID": given.encode("latin-1")}
    first = await client.get("/livez", headers=headers)
    second = await client.get("/livez", headers=headers)
    assert re.fullmatch("[0-9a-f]{32}", first.headers["x-request-id"])
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_repeated_request_id_is_replaced(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/livez", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")])
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_files_of_the_docs_page_are_cached(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.headers["cache-control"] == "no-store"
    files = re.findall('(?:href|src)="docs/([^"]+)"', page.text)
    assert len(files) == 4
    for name in set(files) - {"start.js"}:
        answer = await client.get(f"/docs/{name}")
        assert (answer.status_code, answer.headers["cache-control"]) == (
            200, "public, max-age=86400",
        )  # fmt: skip
        known = {"If-None-Match": answer.headers["etag"]}
        assert (await client.get(f"/docs/{name}", headers=known)).status_code == 304


@pytest.mark.parametrize("address", ["/livez", "/nothing", "/order?id=1", "/docs"])
async def test_answers_have_security_headers(client: httpx2.AsyncClient, address: str) -> None:
    headers = (await client.get(address)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "server" not in headers


OF_EVERY_ANSWER = {
    "cache-control", "content-length", "content-security-policy", "content-type", "date", "pragma",
    "referrer-policy", "vary", "x-content-type-options", "x-frame-options",
}  # fmt: skip
"""Headers that the document does not describe for each operation."""


async def test_headers_of_answers_are_those_of_the_document(client: httpx2.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    account = {"username": f"user-{uuid4().hex}", "password": PASSWORD}
    registered = await client.post("/users", json=account)
    tokens = await client.post("/login", data=account)
    user = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
    placed = await place_order(client, user)
    await place_order(client, user)
    order = placed.headers["location"]
    etag = {"If-None-Match": placed.headers["etag"]}
    answers = {
        "/users": registered,
        "/login": tokens,
        "/orders": placed,
        "/orders/{id}": await client.get(order, headers=user),
        "/order": await client.get(f"/order?id={placed.json()['id']}", headers=user | etag),
        "/orders/{id}/cancel": await client.post(f"{order}/cancel", headers=user),
        "/me": await client.get("/me", headers=user),
        "/sessions/{id}": await client.delete("/sessions/current", headers=user),
        "/revoke": await client.post("/revoke", data={"token": "unknown"}),
    }
    answers["list"] = await client.get("/orders?limit=1", headers=await sign_in(client))
    for path, answer in answers.items():
        operation = paths["/orders" if path == "list" else path][answer.request.method.lower()]
        documented = operation["responses"][str(answer.status_code)]["headers"]
        sent = answer.headers.keys() - OF_EVERY_ANSWER
        assert sent == {name.lower() for name in documented}, path
        for name in documented.keys() & {"Content-Location", "ETag", "Location"}:
            forms = [
                re.sub("[0-9]+", "1", text)
                for text in (answer.headers[name], documented[name]["example"])
            ]
            assert forms[0] == forms[1], path


@pytest.mark.parametrize("address", ["/livez", "/readyz"])
async def test_health_routes_answer(client: httpx2.AsyncClient, address: str) -> None:
    response = await client.get(address)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response.headers["cache-control"] == "no-store"
