"""Limits of connections and slow bodies, and the log of refused ones."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config

from ordergate.adapters.memory import InMemoryStorage
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.server.connection_limits import (
    ConnectionLimits,
    Connections,
    LimitedHttpProtocol,
)

SECONDS = 30
BODY_SECONDS = 60
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
SLOW = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n" + FORM + b"\r\nusername="
CHUNKED = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + FORM + b"\r\n"


class Client:
    """A client, and the protocol that serves it."""

    def __init__(self, protocol: LimitedHttpProtocol, streams: Any) -> None:
        self.protocol = protocol
        self.reader, self.writer = streams

    async def begin(self, data: bytes) -> None:
        """Send the begin of a request; wait until its body is read."""
        self.writer.write(data)
        async with asyncio.timeout(SECONDS):
            while not self.protocol._in_body:
                await asyncio.sleep(0.001)

    async def read_answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value for name, _, value in (each.partition(": ") for each in head)
            }
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body

    async def read_end(self) -> bytes:
        async with asyncio.timeout(SECONDS):
            rest: bytes = await self.reader.read()
        return rest


Connect = Callable[[ASGIApp], Awaitable[Client]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    opened: list[Client] = []

    async def open_connection(app: ASGIApp) -> Client:
        config = Config(app, http=LimitedHttpProtocol, ws="none", access_log=False)
        config.load()
        state = Connections(ConnectionLimits(body_seconds=BODY_SECONDS))
        ours, theirs = socket.socketpair()
        _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: LimitedHttpProtocol(config, state, {}), ours
        )
        opened.append(Client(protocol, await asyncio.open_connection(sock=theirs)))
        return opened[-1]

    yield open_connection
    for client in opened:
        client.writer.close()
        with suppress(ConnectionError):
            await client.writer.wait_closed()


@pytest.fixture
def app() -> ASGIApp:
    settings = Settings(signing_secret="a secret of more than thirty-two bytes", access_log=True)
    return create_app(Container(settings=settings, storage=InMemoryStorage()))


def list_lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    return [
        (record.getMessage(), vars(record))
        for record in caplog.records
        if record.getMessage() in {"request_refused", "request_finished"}
    ]


@pytest.mark.parametrize(
    ("began", "status"),
    [(SLOW, 408), (CHUNKED % b"/login", 400)],
    ids=["slow", "malformed"],
)
async def test_refused_body_is_logged_with_the_status_and_the_id_of_the_answer(
    connect: Connect,
    app: ASGIApp,
    caplog: pytest.LogCaptureFixture,
    began: bytes,
    status: int,
) -> None:
    caplog.set_level("INFO")
    client = await connect(app)
    await client.begin(began)
    if status == 408:
        client.protocol.check_progress(0)
        client.protocol.check_progress(BODY_SECONDS)
    else:
        client.writer.write(b"none\r\n")
    answered, headers, body = await client.read_answer()
    assert await client.read_end() == b""
    assert answered == status
    (refused, refusal), (finished, line) = list_lines(caplog)
    assert (refused, finished) == ("request_refused", "request_finished")
    assert refusal["request_id"] == line["request_id"] == headers["x-request-id"]
    assert refusal["status"] == line["status"] == status
    assert (line["route"], line["bytes"]) == ("/login", len(body))


async def test_answer_to_a_request_with_a_malformed_unread_body_is_no_refusal(
    connect: Connect, app: ASGIApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    client = await connect(app)
    client.writer.write(CHUNKED % b"/livez" + b"none\r\n")
    status, _, _ = await client.read_answer()
    assert await client.read_end() == b""
    assert [(event, line["status"]) for event, line in list_lines(caplog)] == [
        ("request_finished", status)
    ]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::/64"),
        ("10.1.2.3", None),
        ("::ffff:10.1.2.3", None),
        ("2001:db8:1::7", None),
        ("", None),
    ],
)
def test_connection_counts_for_its_network_unless_it_is_of_a_proxy(
    address: str, counted: str | None
) -> None:
    proxies = ("10.0.0.0/8", "2001:db8:1::/48")
    connections = Connections(
        ConnectionLimits(connections_per_address=1, unlimited_networks=proxies)
    )
    assert [connections.add(address) for _ in range(2)] == [counted] * 2
    assert connections.is_full(counted) is (counted is not None)


async def count_bytes(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the size of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        size, more = size + len(message["body"]), message["more_body"]
    headers = [(b"content-length", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"%d" % size})


async def test_time_of_a_body_begins_with_its_request(connect: Connect) -> None:
    """The check misses requests, and Python uses their addresses again."""
    client = await connect(count_bytes)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    for number in range(24):
        await client.begin(head + b"x")
        client.protocol.check_progress(number * BODY_SECONDS)
        client.writer.write(b"x" + (head + b"xx") * (number % 4))
        for _ in range(1 + number % 4):
            assert (await client.read_answer())[::2] == (200, b"2")
