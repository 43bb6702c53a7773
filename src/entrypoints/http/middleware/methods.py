"""HEAD and OPTIONS for every address (RFC 9110, section 9.3)."""

import asyncio
import re
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ordergate.entrypoints.http.requests.methods import list_methods

_BODIES = {"http.response.body", "http.response.pathsend", "http.response.zerocopysend"}
"""The messages of a body, two of which are extensions for files."""
_TOKEN = re.compile(r"[^\s,]+")


class ImpliedMethods:
    """Answers HEAD and OPTIONS where the application answers 405.

    HEAD is answered as GET without a body, and OPTIONS with the methods of the address. A route for
    either method precedes. So does a mounted application, if it answers otherwise than by 405.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] not in {"HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._answer_head(scope, receive, send)
        else:
            await self._answer_options(scope, receive, send)

    async def _answer_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        running = asyncio.timeout(None)
        answer = _HeadersOnly(send, running)
        first = _FirstAnswer(answer.send)
        try:
            async with running:
                await self.app({**scope}, receive, first.send)
                if first.refusal is not None:
                    await self.app({**scope, "method": "GET"}, receive, answer.send)
        except TimeoutError:
            if not answer.is_cancelled:
                raise

    async def _answer_options(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = _FirstAnswer(send)
        await self.app({**scope}, receive, first.send)
        if first.refusal is not None:
            methods = _TOKEN.findall(first.refusal.get("allow", ""))
            answer = Response(status_code=204, headers={"Allow": list_methods(methods)})
            await answer(scope, receive, send)


class _FirstAnswer:
    """Sends an answer, except one of 405, whose headers it keeps."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.refusal: Headers | None = None

    async def send(self, message: Message) -> None:
        if (
            message["type"] == "http.response.start"
            and message["status"] == HTTPStatus.METHOD_NOT_ALLOWED
        ):
            self.refusal = Headers(raw=list(message["headers"]))
        if self.refusal is None:
            await self._send(message)


class _HeadersOnly:
    """Sends an answer without its body.

    A stream without `Content-Length` may be endless, so it is cancelled.
    """

    def __init__(self, send: Send, running: asyncio.Timeout) -> None:
        self._send = send
        self._running = running
        self._has_length = False
        self.is_cancelled = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_length = "content-length" in Headers(raw=list(message["headers"]))
        if message["type"] not in _BODIES:
            await self._send(message)
        elif not message.get("more_body", False):
            await self._finish()
        elif not self._has_length:
            await self._finish()
            self.is_cancelled = True
            self._running.reschedule(asyncio.get_running_loop().time())

    async def _finish(self) -> None:
        if not self.is_cancelled:
            await self._send({"type": "http.response.body", "body": b""})
