"""Hostile clients, which take all they can until they are terminated.

    python -m tests.attack.clients NAME CONNECTIONS URL TOKEN  (what the suite starts as a process)

Each is one client: one address, and at most one account, whose access token is TOKEN. When it ends
it writes how many answers of each status it read, as JSON.
"""

import asyncio
import json
import random
import signal
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from urllib.parse import urlencode, urlsplit

PASSWORD = "the password of all test users"
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and the account that attacks it."""

    host: str
    port: int
    token: str
    statuses: Counter[int] = field(default_factory=Counter)
    """How many answers of each status were read."""

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
        """Repeat a request, each after the answer to the one before."""
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await self.connect()
                while True:
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    self.statuses[int(head.split(maxsplit=2)[1])] += 1
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


@dataclass(frozen=True, slots=True)
class Client:
    """A hostile client: its connections, its action and its expected statuses."""

    connections: int
    attack: Callable[[Target], Awaitable[object]]
    statuses: frozenset[int] = frozenset()


Request = Callable[[Target], bytes]


def many(connections: int, *requests: Request, statuses: set[int]) -> Client:
    """Return a client that repeats a request on each of its connections."""
    return Client(
        connections,
        lambda target: asyncio.gather(
            *(target.repeat(request(target)) for request in islice(cycle(requests), connections))
        ),
        frozenset(statuses),
    )


def ordinary(connections: int) -> Client:
    """Return a client that reads an order.

    The latency of others is compared with what it costs them.
    """
    return many(connections, lambda target: target.request("GET /orders/1"), statuses={200})


def sign_in_as(username: str, password: str = PASSWORD) -> Request:
    """Return what makes a request to sign in."""
    return lambda target: target.form("/login", username=username, password=password)


def confirm(password: str) -> Request:
    """Return what makes a request that confirms a password, and changes nothing."""
    document = {"current_password": password, "new_password": "too short"}
    return lambda target: target.json("PUT /me/password", document)


def sign_up(number: int) -> Request:
    """Return what makes a request for an account."""
    document = {"username": f"newcomer{number}", "password": "tulips in a blue jar"}
    return lambda target: target.json("POST /users", document)


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
    """Ask for something on a new connection, and reset that without reading."""

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


_NAME = "\u202a\u202c" * 16 + "e\u0323\u0307" * 56  # as many changes of direction as one may have
_LINE = {"sku": "POT", "name": _NAME, "quantity": 1, "unit_price": "1.00"}
_PIPELINED = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 2_000
_CHUNKED = (
    b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
)

CLIENTS = {
    "pipelines": Client(1, lambda target: target.stream(b"", _PIPELINED, read=True)),
    "pipelines and reads nothing": Client(1, lambda target: target.stream(b"", _PIPELINED)),
    "sends a body in chunks of one byte": Client(
        1, lambda target: target.stream(_CHUNKED, b"1\r\nx\r\n" * 10_000)
    ),
    "sends heads slowly": Client(1, trickle),
    "vanishes": Client(1, vanish),
    "lists large pages": many(
        16, lambda target: target.request("GET /orders?limit=200"), statuses={200}
    ),
    "places orders with the worst names": many(
        8,
        lambda target: target.json("POST /orders", {"currency": "EUR", "lines": [_LINE] * 100}),
        statuses={201},
    ),
    "places orders that are refused": many(
        8,
        lambda target: target.json(
            "POST /orders", {"currency": "EUR", "lines": [{**_LINE, "quantity": 0}] * 100}
        ),
        statuses={422},
    ),
    "nests JSON": many(
        8, lambda target: target.json("POST /orders", b"[" * 200_000), statuses={400}
    ),
    "signs up with marks": many(
        8,
        lambda target: target.json(
            "POST /users", {"username": "x" * 256, "password": "\u0300\u0316" * 2_048}
        ),
        statuses={422},
    ),
    "signs up": many(100, *map(sign_up, range(100)), statuses={201, 409}),
    "guesses passwords": many(32, sign_in_as("user1", "wrong"), statuses={400, 429}),
    "signs in": many(76, sign_in_as("user1"), statuses={200, 429}),
    "signs in to four accounts": many(
        16, *(sign_in_as(f"user{number}") for number in range(1, 5)), statuses={200}
    ),
    "confirms its password": many(76, confirm(PASSWORD), statuses={422, 429}),
    "confirms a wrong password": many(76, confirm("wrong"), statuses={403, 429}),
    "forges tokens": many(
        16,
        lambda target: target.request("GET /me").replace(b"\r\n\r\n", b"x\r\n\r\n"),
        statuses={401},
    ),
    "sends many entity tags": many(
        8,
        lambda target: target.request(
            "GET /orders/1", b"", "If-None-Match: " + ", ".join(['"1-brx"'] * 900)
        ),
        statuses={200},
    ),
    "sends many parameters": many(
        16,
        lambda target: target.request("GET /orders?" + "&".join(["a=b"] * 10_000)),
        statuses={422},
    ),
}
"""Hostile clients by what they do."""


async def main(name: str, connections: str, url: str, token: str) -> None:
    """Attack until the process is terminated."""
    random.seed(name)
    address = urlsplit(url)
    client = CLIENTS.get(name) or ordinary(int(connections))
    target = Target(address.hostname or "", address.port or 0, token)
    attack = asyncio.ensure_future(client.attack(target))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, attack.cancel)
    with suppress(asyncio.CancelledError):
        await attack
    sys.stdout.write(json.dumps(target.statuses))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
