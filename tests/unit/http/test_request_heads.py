"""Request heads that are refused before routing, under any server."""

from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from ordergate.entrypoints.http.middleware.edge import EdgeMiddleware
from ordergate.entrypoints.http.problems.catalog import MAX_HEAD_BYTES, MAX_HEAD_FIELDS

HOST = (b"host", b"shop.example")


async def request_status(
    *fields: tuple[bytes, bytes], raw_path: bytes | None = b"/orders", **scope: Any
) -> int:
    """Send a request through the outermost middleware; the application answers 200."""
    statuses = []

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        raise AssertionError("no body is read")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    request = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/orders",
        "raw_path": raw_path,
        "query_string": b"",
        "headers": list(fields),
        "state": {"request_id": "1"},
    }
    await EdgeMiddleware(answer)({**request, **scope}, receive, send)
    (status,) = statuses
    return int(status)


@pytest.mark.parametrize(
    "host",
    [
        "shop.example",
        "SHOP.example:8000",
        "shop.example:",
        "127.0.0.1:65535",
        "[::1]",
        "[2001:db8::1]:443",
        "a_b~c!$&'()*+,;=",
        "caf%C3%A9.example",
        "x" * 255 + ":65535",
    ],
)
async def test_host_is_accepted_when_it_is_a_host_and_perhaps_a_port(host: str) -> None:
    assert await request_status((b"host", host.encode())) == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":8000",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "user@shop.example",
        "a,b c",
        "http://shop.example",
        "shop.example:port",
        "shop.example:65536",
        "shop.example:80:80",
        "shop.example\n",
        "[::1",
        "::1",
        "[::1]x",
        "[:::1]",
        "[1.2.3.4]",
        "100%",
        "caf\u00e9.example",
        "x" * 262,
    ],
)
async def test_host_is_refused_when_it_is_malformed(host: str) -> None:
    for version in ("1.0", "1.1", "2"):
        assert await request_status((b"host", host.encode()), http_version=version) == 400


async def test_host_is_sent_once() -> None:
    assert await request_status() == 400
    assert await request_status(HOST, HOST) == 400
    assert await request_status(HOST, (b"host", b"other.example"), http_version="1.0") == 400
    assert await request_status(http_version="1.0") == 200


@pytest.mark.parametrize(
    "path",
    [
        "/orders",
        "/.well-known/jwks.json",
        "/notes/a%20b",
        "/notes/caf%C3%A9",
        "/notes/a%3Ab%5B",
        "/notes/..a/.b/...",
    ],
)
async def test_path_is_accepted_when_it_has_one_spelling(path: str) -> None:
    assert await request_status(HOST, raw_path=path.encode()) == 200


@pytest.mark.parametrize(
    "path",
    [
        *(f"/%{code:02X}" for code in b"AZaz09-._~/"),
        "/%6frders",
        "/orders/%31",
        "/orders/1%2fcancel",
        "/orders/../livez",
        "/./livez",
        "/orders/.",
        "/orders/..",
    ],
)
async def test_path_is_not_found_when_it_is_another_spelling(path: str) -> None:
    assert await request_status(HOST, raw_path=path.encode()) == 404


async def test_path_is_checked_when_the_server_does_not_give_it_as_sent() -> None:
    assert await request_status(HOST, raw_path=None) == 200
    assert await request_status(HOST, raw_path=None, path="/orders/..") == 404


async def test_head_size_is_limited() -> None:
    assert await request_status(HOST, *[(b"x", b"y")] * (MAX_HEAD_FIELDS - 1)) == 200
    assert await request_status(HOST, *[(b"x", b"y")] * MAX_HEAD_FIELDS) == 431
    assert await request_status(HOST, (b"x", b"y" * (MAX_HEAD_BYTES - 100))) == 200
    assert await request_status(HOST, (b"x", b"y" * MAX_HEAD_BYTES)) == 431
    assert await request_status(HOST, query_string=b"y" * MAX_HEAD_BYTES) == 431
