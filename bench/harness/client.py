"""The load client for machines without wrk.

    python bench/harness/client.py FILE     # FILE is written by bench/harness/load.py

It speaks the HTTP/1.1 of the contestants: kept connections, answers with Content-Length.
"""

import asyncio
import json
import math
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
TIMEOUT = 10


class Client:
    """Sends requests in turn for a time, and counts the answers."""

    def __init__(self, spec: dict[str, Any]) -> None:
        address = urlsplit(spec["url"])
        self.host, self.port = address.hostname or "", address.port or 80
        self.connections = int(spec["connections"])
        self.seconds = float(spec["seconds"])
        self.requests = [self.encode_request(request) for request in spec["requests"]]
        self.turn = 0
        self.latencies: list[float] = []
        self.refused = 0
        self.errors = 0

    def encode_request(self, request: dict[str, Any]) -> bytes:
        body = str(request["body"]).encode()
        lines = [
            f"{request['method']} {request['path']} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            *(f"{name}: {value}" for name, value in request["headers"].items()),
            *([f"Content-Length: {len(body)}"] if body else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def connection(self, until: float) -> None:
        try:
            reader, writer = await asyncio.open_connection(self.host, self.port)
            while (began := time.perf_counter()) < until:
                self.turn = (self.turn + 1) % len(self.requests)
                writer.write(self.requests[self.turn])
                async with asyncio.timeout(TIMEOUT):
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(
                        int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    )
                self.latencies.append(time.perf_counter() - began)
                self.refused += int(head.split(b" ", 2)[1]) >= 400
            writer.close()
        except (OSError, EOFError, TimeoutError, IndexError):
            self.errors += 1

    async def run(self) -> dict[str, float]:
        began = time.perf_counter()
        until = began + self.seconds
        await asyncio.gather(*(self.connection(until) for _ in range(self.connections)))
        took = time.perf_counter() - began
        ordered = sorted(self.latencies) or [math.nan]
        return {
            "requests": len(self.latencies),
            "seconds": took,
            "p50": ordered[len(ordered) // 2] * 1e3,
            "p99": ordered[len(ordered) * 99 // 100] * 1e3,
            "refused": self.refused,
            "errors": self.errors,
        }


def on_a_fast_loop(main: Coroutine[Any, Any, T]) -> T:
    try:
        import uvloop  # noqa: PLC0415 - not there on every system
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


if __name__ == "__main__":
    print(
        json.dumps(
            on_a_fast_loop(Client(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))).run())
        )
    )
