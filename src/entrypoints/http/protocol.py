"""HTTP/1.1 as uvicorn speaks it, with a bound on what precedes a body and problems as answers."""

import uuid

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from entrypoints.http.envelope import HEADERS
from entrypoints.http.problems import Problem

MAX_HEAD_BYTES = 65_536

MALFORMED = Problem(400, "This is no well-formed HTTP/1.1 request.", "malformed-request")
HEAD_TOO_LARGE = Problem(
    431, f"The request line and headers exceed {MAX_HEAD_BYTES} bytes.", "headers-too-large"
)


class BoundedHttpProtocol(HttpToolsProtocol):
    """Refuses what no application gets to see.

    The parser itself would collect a header of any length. What arrives is counted until a head, a
    piece of a body or a message is complete, so the bound is exact to one read from the socket.
    """

    _uncounted = 0

    def data_received(self, data: bytes) -> None:
        """Parse; refuse when too much came without anything being complete."""
        self._uncounted += len(data)
        super().data_received(data)
        if self._uncounted > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Start the count anew."""
        self._uncounted = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Start the count anew."""
        self._uncounted = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words for it
        """Answer what the parser refuses."""
        self._refuse(MALFORMED)

    def _refuse(self, problem: Problem) -> None:
        response = problem.response(uuid.uuid4().hex)
        headers = {**response.headers, **HEADERS, "Connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(
            STATUS_LINE[problem.status] + head.encode("latin-1") + b"\r\n" + bytes(response.body)
        )
        self.transport.close()
