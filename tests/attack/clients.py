"""Hostile clients: each takes what it can get of one server until it is cancelled.

    python -m tests.attack.clients NAME URL TOKEN      (what the suite starts as a process)

Each is one client: one address, and at most one account, whose access token is TOKEN.
"""

import asyncio
import json
import random
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

PASSWORD = "the password of all test users"
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and the account that attacks it."""

    host: str
    port: int
    token: str

    def request(self, line: str, body: bytes = b"", *fields: str) -> bytes:
        """Return a request of the account's."""
        head = [f"{line} HTTP/1.1", "Host: x", f"Authorization: Bearer {self.token}", *fields]
        if body:
            head.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(head) + "\r\n\r\n").encode() + body

    def form(self, path: str, **fields: str) -> bytes:
        """Return a request with a form, without a token."""
        body = urlencode(fields).encode()
        media_type = "Content-Type: application/x-www-form-urlencoded"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{media_type}\r\nContent-Length: {len(body)}"
        return head.encode() + b"\r\n\r\n" + body

    def json(self, line: str, document: object) -> bytes:
        """Return a request with a JSON body."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.request(line, body, "Content-Type: application/json")

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        return await asyncio.open_connection(self.host, self.port)

    async def repeat(self, request: bytes) -> None:
        """Send a request again and again, each after the answer to the one before."""
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await self.connect()
                while True:
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    fields = head.lower().partition(b"content-length:")[2]
                    await reader.readexactly(int(fields.partition(b"\r\n")[0] or 0))
                    if b"connection: close" in head.lower():
                        break
                writer.close()

    async def stream(self, first: bytes, rest: bytes, *, read: bool = False) -> None:
        """Send without end and without waiting for answers."""
        while True:
            with suppress(OSError):
                reader, writer = await self.connect()
                writer.write(first)
                reading = asyncio.create_task(_discard(reader)) if read else None
                while not writer.is_closing():
                    writer.write(rest)
                    await writer.drain()
                if reading:
                    await reading


async def _discard(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(1_000_000):
            pass


def many(
    connections: int, request: Callable[[Target], bytes]
) -> Callable[[Target], Awaitable[object]]:
    """Return a client that repeats a request on so many connections."""
    return lambda target: asyncio.gather(
        *(target.repeat(request(target)) for _ in range(connections))
    )


async def trickle(target: Target) -> None:
    """Send 300 heads, a byte at a time."""

    async def one() -> None:
        while True:
            with suppress(OSError):
                _, writer = await target.connect()
                for byte in b"GET /livez HTTP/1.1\r\nX: " + b"x" * 1_000:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.05)

    await asyncio.gather(*(one() for _ in range(300)))


async def vanish(target: Target) -> None:
    """Ask for something on a new connection, and reset that without reading the answer."""

    async def one() -> None:
        while True:
            with suppress(OSError):
                _, writer = await target.connect()
                writer.write(target.request("GET /orders?limit=200"))
                await writer.drain()
                connected = writer.get_extra_info("socket")
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.close()
                await writer.wait_closed()

    await asyncio.gather(*(one() for _ in range(16)))


_LINE = {"sku": "POT", "name": "\u202a\u202c" * 99 + "\u00a0a", "quantity": 1, "unit_price": "1.00"}
_PIPELINED = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 2_000
_CHUNKED = (
    b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
)

CLIENTS: dict[str, Callable[[Target], Awaitable[object]]] = {
    "pipelines": lambda target: target.stream(b"", _PIPELINED, read=True),
    "pipelines and reads nothing": lambda target: target.stream(b"", _PIPELINED),
    "sends a body in chunks of one byte": lambda target: target.stream(
        _CHUNKED, b"1\r\nx\r\n" * 10_000
    ),
    "sends heads slowly": trickle,
    "vanishes": vanish,
    "lists large pages": many(16, lambda target: target.request("GET /orders?limit=200")),
    "places orders with the worst names": many(
        8, lambda target: target.json("POST /orders", {"currency": "EUR", "lines": [_LINE] * 100})
    ),
    "places orders that are refused": many(
        8,
        lambda target: target.json(
            "POST /orders", {"currency": "EUR", "lines": [{**_LINE, "quantity": 0}] * 100}
        ),
    ),
    "nests JSON": many(8, lambda target: target.json("POST /orders", b"[" * 200_000)),
    "signs up with marks": many(
        8,
        lambda target: target.json(
            "POST /users", {"username": "x" * 256, "password": "\u0300\u0316" * 2_048}
        ),
    ),
    "guesses passwords": many(
        32, lambda target: target.form("/login", username="user1", password="wrong")
    ),
    "signs in": many(76, lambda target: target.form("/login", username="user1", password=PASSWORD)),
    "confirms its password": many(
        76,
        lambda target: target.json(
            "PUT /me/password", {"current_password": PASSWORD, "new_password": "too short"}
        ),
    ),
    "forges tokens": many(
        16, lambda target: target.request("GET /me").replace(b"\r\n\r\n", b"x\r\n\r\n")
    ),
    "sends many entity tags": many(
        8,
        lambda target: target.request(
            "GET /orders/1", b"", "If-None-Match: " + ", ".join(f'"{i}"' for i in range(7_000))
        ),
    ),
    "sends many parameters": many(
        16, lambda target: target.request("GET /orders?" + "&".join(["a=b"] * 10_000))
    ),
}
"""Hostile clients by what they do."""

ORDINARY = many(1, lambda target: target.request("GET /orders/1"))
"""A client that is as busy as one connection lets it: others' latency is compared with its."""


async def main(name: str, url: str, token: str) -> None:
    """Attack until the process is killed."""
    random.seed(name)
    address = urlsplit(url)
    client = CLIENTS.get(name, ORDINARY)
    await client(Target(address.hostname or "", address.port or 0, token))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
