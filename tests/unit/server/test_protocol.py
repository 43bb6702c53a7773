"""A connection answers in order and buffers little for any client."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from ordergate.entrypoints.server.http_protocol import PIECE_BYTES, BoundedHttpProtocol

SECONDS = 10
SHORTEST = len(b"GET / HTTP/1.1\r\n\r\n")
ONE_READ = 262_144
"""The most that one read of an event loop returns."""
BAD_CHUNK = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n"


def get(path: str, *fields: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", "Host: x", *fields, "", "")
    return "\r\n".join(lines).encode()


class Application:
    """Answers with the path.

    `/wait…` waits for the gate, `…/read` reads the body first.
    """

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.began: list[str] = []
        self.disconnected: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.began.append(path)
        if path.startswith("/wait"):
            await self.gate.wait()
        size = 0
        while path.endswith("/read"):
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected.append(path)
                return
            size += len(message["body"])
            if not message["more_body"]:
                break
        body = f"{path} {size}".encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Connection:
    """A client, and the protocol that serves it."""

    def __init__(self, protocol: BoundedHttpProtocol, app: Application, client: Any) -> None:
        self.protocol, self.app = protocol, app
        self.reader, self.writer = client
        self._received = b""

    def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    async def wait_until(self, condition: Any) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():
                await asyncio.sleep(0.001)

    async def read_to_end(self) -> list[str]:
        """Return each answer: a body, or a problem's status and type."""
        async with asyncio.timeout(SECONDS):
            received = (await self.reader.read()).decode()
        answers = []
        for status, head, body in re.findall(
            r"HTTP/1\.1 (\d+) .*?\r\n(.*?)\r\n\r\n(.*?)(?=HTTP/1\.1 \d|\Z)", received, re.DOTALL
        ):
            assert f"content-length: {len(body.encode())}\r\n" in f"{head.lower()}\r\n"
            answers.append(body if status == "200" else f"{status} {json.loads(body)['type']}")
        return answers


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    app = Application()
    config = Config(app, http=BoundedHttpProtocol, ws="none", access_log=False)
    config.load()
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    _, protocol = await loop.connect_accepted_socket(
        lambda: BoundedHttpProtocol(config, ServerState(), {}), ours
    )
    client = await asyncio.open_connection(sock=theirs)
    yield Connection(protocol, app, client)
    app.gate.set()
    client[1].close()
    with suppress(ConnectionError):
        await client[1].wait_closed()


MALFORMED = "400 urn:problem-type:ordergate:malformed-request"
TOO_LARGE = "431 urn:problem-type:ordergate:headers-too-large"


async def test_requests_queue_up_to_a_bound_and_are_all_answered(connection: Connection) -> None:
    paths = [f"/{number}" for number in range(10_000)]
    connection.send(get("/wait"), *map(get, paths[:-1]), get(paths[-1], "Connection: close"))
    await connection.wait_until(lambda: connection.protocol.pipeline)
    assert connection.protocol.flow.read_paused
    most_queued = most_held = 0
    connection.app.gate.set()

    async def watch() -> None:
        nonlocal most_queued, most_held
        while True:
            most_queued = max(most_queued, len(connection.protocol.pipeline))
            most_held = max(most_held, len(connection.protocol._rest))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    assert await connection.read_to_end() == ["/wait 0", *(f"{path} 0" for path in paths)]
    watching.cancel()
    assert 0 < most_queued <= PIECE_BYTES / SHORTEST
    assert 0 < most_held <= ONE_READ


async def test_reading_stays_paused_while_a_request_is_queued(connection: Connection) -> None:
    connection.send(get("/1"), get("/wait"), get("/2"), get("/wait"), get("/3"))
    await connection.wait_until(lambda: "/wait" in connection.app.began)
    assert connection.protocol.pipeline
    assert connection.protocol.flow.read_paused
    connection.app.gate.set()
    await connection.wait_until(lambda: "/3" in connection.app.began)
    await connection.wait_until(lambda: not connection.protocol.flow.read_paused)


@pytest.mark.parametrize(
    ("behind", "refusal"),
    [
        (b"GARBAGE\r\n\r\n", MALFORMED),
        (b"GET /x HTTP/1.1\r\nno field\r\n\r\n", MALFORMED),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, TOO_LARGE),
        (b"GET /#fragment HTTP/1.1\r\nHost: x\r\n\r\n", MALFORMED),
        (BAD_CHUNK % b"/never", MALFORMED),
    ],
    ids=["garbage", "head", "large head", "target", "chunk"],
)
@pytest.mark.parametrize("requests", [["/wait"], ["/wait/read", "/2"], ["/1", "/wait", "/3"]])
async def test_refusal_follows_the_answers_of_the_requests_before_it(
    connection: Connection, requests: list[str], behind: bytes, refusal: str
) -> None:
    connection.send(*map(get, requests), behind, get("/ignored"))
    first = next(path for path in requests if path.startswith("/wait"))
    await connection.wait_until(lambda: first in connection.app.began)
    await connection.wait_until(lambda: connection.protocol._refusal or connection.protocol._rest)
    connection.app.gate.set()
    assert await connection.read_to_end() == [*(f"{path} 0" for path in requests), refusal]
    assert connection.app.began == requests


@pytest.mark.parametrize(
    ("end", "refusal"),
    [
        (b"none\r\n", MALFORMED),
        (b"1;" + b"x" * 70_000, TOO_LARGE),
        (b"0\r\n" + b"trailer: x\r\n" * 10_000, TOO_LARGE),
    ],
    ids=["chunk", "extension", "trailers"],
)
async def test_malformed_body_is_refused_when_the_application_reads_it(
    connection: Connection, end: bytes, refusal: str
) -> None:
    connection.send((BAD_CHUNK % b"/read").replace(b"none", b"1\r\nx"))
    await connection.wait_until(lambda: "/read" in connection.app.began)
    connection.send(end)
    assert await connection.read_to_end() == [refusal]
    assert connection.app.disconnected == ["/read"]


async def test_malformed_body_is_refused_when_it_came_before_the_application_reads(
    connection: Connection,
) -> None:
    connection.send(BAD_CHUNK % b"/wait/read")
    await connection.wait_until(lambda: connection.protocol._refusal)
    connection.app.gate.set()
    assert await connection.read_to_end() == [MALFORMED]


async def test_malformed_body_does_not_replace_the_answer_when_it_is_not_read(
    connection: Connection,
) -> None:
    connection.send(BAD_CHUNK % b"/wait")
    await connection.wait_until(lambda: connection.protocol._refusal)
    connection.app.gate.set()
    assert await connection.read_to_end() == ["/wait 0"]


async def test_request_is_answered_once_when_its_body_is_malformed_after_the_answer(
    connection: Connection,
) -> None:
    connection.send((BAD_CHUNK % b"/early").replace(b"none\r\n", b""))
    await connection.wait_until(lambda: connection.protocol.server_state.total_requests)
    connection.send(b"none\r\n")
    assert await connection.read_to_end() == ["/early 0"]


@pytest.mark.parametrize("size", [10, 300_000])
@pytest.mark.parametrize("path", ["/read", "/unread"])
async def test_body_behind_other_requests_arrives_whole(
    connection: Connection, path: str, size: int
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    both = [head + b"x" * size, get("/next")] * 2
    connection.send(get("/wait"), *both, get("/last", "Connection: close"))
    await connection.wait_until(lambda: connection.protocol.pipeline)
    connection.app.gate.set()
    read = size if path == "/read" else 0
    answers = [f"{path} {read}", "/next 0"] * 2
    assert await connection.read_to_end() == ["/wait 0", *answers, "/last 0"]


async def test_large_body_waits_in_the_socket_until_it_is_read(connection: Connection) -> None:
    size = 3_000_000
    head = f"POST /wait/read HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    connection.send(head, b"x" * size, get("/last", "Connection: close"))
    await connection.wait_until(lambda: connection.protocol.flow.read_paused)
    assert len(connection.protocol.cycle.body) <= 65_536 + PIECE_BYTES
    assert len(connection.protocol._rest) <= ONE_READ
    connection.app.gate.set()
    assert await connection.read_to_end() == [f"/wait/read {size}", "/last 0"]


async def test_requests_behind_a_refused_upgrade_are_answered(connection: Connection) -> None:
    upgrade = get("/1", "Connection: Upgrade", "Upgrade: websocket")
    connection.send(upgrade, upgrade, get("/2", "Connection: close"))
    assert await connection.read_to_end() == ["/1 0", "/1 0", "/2 0"]


async def test_requests_behind_the_last_one_are_ignored(connection: Connection) -> None:
    connection.send(get("/1"), get("/2", "Connection: close"), get("/3"), b"GARBAGE\r\n\r\n")
    assert await connection.read_to_end() == ["/1 0", "/2 0"]
    assert "/3" not in connection.app.began


async def test_last_answer_reaches_a_client_that_is_still_sending(
    connection: Connection,
) -> None:
    connection.send(get("/wait"), get("/last", "Connection: close"), get("/more") * 100_000)
    await connection.wait_until(lambda: connection.protocol.pipeline)
    connection.app.gate.set()
    assert await connection.read_to_end() == ["/wait 0", "/last 0"]


async def test_queued_requests_are_dropped_when_the_client_leaves(connection: Connection) -> None:
    connection.send(get("/1"), get("/wait"), *[get("/2")] * 1_000)
    await connection.wait_until(lambda: "/wait" in connection.app.began)
    transport: Any = connection.protocol.transport
    transport._transport.abort()
    await connection.wait_until(lambda: connection.protocol.parser is None)
    assert not connection.protocol.pipeline
    assert not connection.protocol._rest
    connection.app.gate.set()
    await connection.wait_until(lambda: not connection.protocol.tasks)
    assert connection.app.began == ["/1", "/wait"]


@pytest.mark.parametrize("began", [b"", b"GET /slow HTTP/1.1\r\n"])
async def test_head_has_a_time_limit(connection: Connection, began: bytes) -> None:
    connection.protocol.head_seconds = 0.05
    connection.protocol._limit_time()

    async def drip() -> None:
        connection.send(began)
        while began:
            connection.send(b"X: y\r\n")
            await asyncio.sleep(0.001)

    dripping = asyncio.create_task(drip())
    assert await connection.read_to_end() == []
    dripping.cancel()
    assert connection.app.began == []


async def test_request_under_way_has_no_time_limit_of_the_protocol(
    connection: Connection,
) -> None:
    large = [f"X{number}: {'x' * 1_000}" for number in range(60)]
    connection.send(get("/wait", *large))
    await connection.wait_until(lambda: connection.app.began)
    assert connection.protocol.timeout_keep_alive_task is None
    connection.app.gate.set()
    connection.send(get("/last", "Connection: close"))
    assert await connection.read_to_end() == ["/wait 0", "/last 0"]


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("http://x/orders", "/orders 0"),
        ("HTTPS://[::1]:8000/orders?a=b", "/orders 0"),
        ("*", "* 0"),
        ("/orders#fragment", MALFORMED),
        ("http://x/orders#fragment", MALFORMED),
        ("ftp://x/orders", MALFORMED),
        ("http:///orders", MALFORMED),
        ("http://user@x/orders", MALFORMED),
        ("http://x:port/orders", MALFORMED),
    ],
)
async def test_target_is_a_path_or_an_absolute_uri(
    connection: Connection, target: str, answer: str
) -> None:
    connection.send(get(target, "Connection: close"))
    assert await connection.read_to_end() == [answer]
