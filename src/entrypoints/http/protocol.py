"""HTTP/1.1 as uvicorn speaks it, with a bound on what precedes a body and problems as answers."""

import asyncio
import logging
import uuid
from typing import cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from entrypoints.http.envelope import HEADERS
from entrypoints.http.errors import HEAD_TOO_LARGE, MALFORMED, MAX_HEAD_BYTES
from entrypoints.http.gathered_writes import GatheredWrites
from entrypoints.http.problems import Problem

_log = logging.getLogger("ordergate.http")


class BoundedHttpProtocol(HttpToolsProtocol):
    """Refuses what no application gets to see.

    The parser itself would collect a header of any length. What arrives is counted until a head or
    a piece of a body is complete, so the bound is exact to one read from the socket. And it hands
    over trailers like headers, which RFC 9110, section 6.5.1, forbids to mix: they are dropped.
    """

    _uncounted = 0
    _in_head = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the head of an answer together with its body."""
        gathered = GatheredWrites(cast("asyncio.Transport", transport))
        super().connection_made(cast("asyncio.Transport", gathered))

    def data_received(self, data: bytes) -> None:
        """Parse; refuse when too much came without anything being complete."""
        self._uncounted += len(data)
        super().data_received(data)
        if self._uncounted > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Expect headers."""
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, and no trailer."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the count anew, and take no more headers."""
        self._uncounted = 0
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Start the count anew."""
        self._uncounted = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words for it
        """Answer what the parser refuses."""
        self._refuse(MALFORMED)

    def _refuse(self, problem: Problem) -> None:
        request_id = uuid.uuid4().hex
        where = {"request_id": request_id, "status": problem.status}
        _log.info("request_refused", extra=where)
        response = problem.response(request_id)
        headers = {**response.headers, **HEADERS, "X-Request-ID": request_id, "Connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(
            STATUS_LINE[problem.status] + head.encode("latin-1") + b"\r\n" + bytes(response.body)
        )
        self.transport.close()
