"""The floor of the server: an ASGI function with a constant body."""

from collections.abc import Awaitable, Callable
from typing import Any

from bench.apps.sample import ORDER

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(ORDER)).encode()),
    ],
}
BODY = {"type": "http.response.body", "body": ORDER}


async def app(scope: Any, _receive: object, send: Callable[[Any], Awaitable[None]]) -> None:
    if scope["type"] == "http":
        await send(START)
        await send(BODY)
