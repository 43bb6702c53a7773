"""Requests, refusals and flow control of a connection: uvicorn's, with limits."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from ordergate.entrypoints.http.middleware.edge import HEADERS
from ordergate.entrypoints.http.problems.problem import Problem

if TYPE_CHECKING:
    from uvicorn._types import (
        ASGI3Application,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        Scope,
    )


class BoundedFlow(FlowControl):
    """Flow control that resumes reading when the connection may hold more."""

    def __init__(self, transport: asyncio.Transport, may_read: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._may_read = may_read

    def resume_reading(self) -> None:
        """Resume reading, unless unparsed input waits."""
        if self.read_paused and self._may_read():
            super().resume_reading()


class BreakableCycle(RequestResponseCycle):
    """A request whose body may prove malformed while it is answered."""

    _refuse: Callable[[], None] | None = None

    def break_off(self, refuse: Callable[[], None]) -> None:
        """End the body as if the client had disconnected.

        `refuse` is called once the application reads the body. An application that reads no body
        answers as usual.
        """
        self._refuse = refuse
        self.keep_alive = False
        self.message_event.set()

    async def run_asgi(self, app: "ASGI3Application") -> None:
        """Run the application; keep the connection after an error that it answered.

        The application logs such an error before it raises it again.
        """

        async def run(
            scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
        ) -> None:
            try:
                await app(scope, receive, send)
            except Exception:
                if not self.response_complete:
                    raise

        await super().run_asgi(run)

    async def receive(self) -> "ASGIReceiveEvent":
        """Return the next event."""
        if self._refuse is None:
            message = await super().receive()
            if self._refuse is None:
                return message
        if not self.disconnected and not self.response_started:
            self.disconnected = True
            self._refuse()
        return {"type": "http.disconnect"}


def write_refusal(problem: Problem, request_id: str, trace_id: str | None) -> bytes:
    """Write an answer with a problem, after which the connection is closed."""
    response = problem.response(request_id, trace_id=trace_id)
    headers = {**response.headers, **HEADERS, "X-Request-ID": request_id, "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[problem.status] + head.encode("latin-1") + b"\r\n" + bytes(response.body)
