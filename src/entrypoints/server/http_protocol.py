"""HTTP/1.1 over uvicorn's protocol, with bounded connections and ordered answers."""

import asyncio
import logging
import uuid
from functools import partial
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ordergate.entrypoints.http.middleware.observing import REFUSAL
from ordergate.entrypoints.http.problems.catalog import (
    HEAD_TOO_LARGE,
    MALFORMED,
    MAX_HEAD_BYTES,
    MAX_HEAD_FIELDS,
)
from ordergate.entrypoints.http.problems.problem import TRACE_ID, Problem
from ordergate.entrypoints.server.coalescing_transport import CoalescingTransport
from ordergate.entrypoints.server.request_cycle import BoundedFlow, BreakableCycle, write_refusal
from ordergate.entrypoints.server.request_target import check_target

PIECE_BYTES = 2_048
"""The input of one parser call, which limits the requests that it can queue."""
STEP_BYTES = 8_192
"""The input of a connection that one step of the event loop parses."""
HEAD_SECONDS = 30
"""The time limit for the first request, and for the rest of a head."""

_NOTHING = memoryview(b"")

_log = logging.getLogger("ordergate.http")


class BoundedHttpProtocol(HttpToolsProtocol):
    """A connection that holds little and answers requests in order.

    uvicorn resumes reading at each answer, even while requests are queued, so a pipelining client
    fills the memory. This protocol feeds the parser `PIECE_BYTES` at a time, and none while a
    request is queued. The rest of a read waits, and nothing more is read.

    A head has at most `MAX_HEAD_BYTES`, rounded up to a piece, and `MAX_HEAD_FIELDS`. The same
    limit applies to data before a piece of a body. Trailers are dropped (RFC 9110, section 6.5.1).
    A refusal is sent after the answers to all earlier requests, and closes the connection.
    """

    head_seconds: float = HEAD_SECONDS
    cycle: BreakableCycle
    _rest = _NOTHING
    _uncounted = 0
    _unanswered = 0
    _in_head = False
    _timing_head = False
    _in_body = False
    _refusal: Problem | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection, with `head_seconds` for a request."""
        socket = cast("asyncio.Transport", transport)
        self._coalescing = CoalescingTransport(socket, self._expects_more)
        super().connection_made(self._coalescing)
        self.flow = BoundedFlow(self.transport, self._resume)
        self._limit_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop waiting input and requests."""
        self._unset_keepalive_if_required()
        self._rest = _NOTHING
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse as much input as allowed, and keep the rest."""
        if self._refusal or self._coalescing.closed:
            return
        if len(data) <= PIECE_BYTES and not self._rest and not self.pipeline:
            self._parse(data)
            self._limit_time()
        else:
            self._rest = memoryview(bytes(self._rest) + data if self._rest else data)
            self._parse_rest()

    def on_message_begin(self) -> None:
        """Expect headers."""
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Accept a header; drop a trailer; refuse one header too many."""
        if self._in_head and len(self.headers) <= MAX_HEAD_FIELDS:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin a request, or queue it. Raises `ValueError` for a malformed target.

        This is uvicorn's method without its limit of connections and without web sockets.
        """
        if b"#" in self.url or not self.url.startswith(b"/"):
            check_target(self.url)
        target = httptools.parse_url(self.url)
        version = self.parser.get_http_version()
        path = target.path.decode("ascii")
        scope = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + target.path
        scope["query_string"] = target.query or b""
        self.cycle = cycle = BreakableCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self._uncounted = 0
        self._in_head = False
        self._in_body = True
        self._unanswered += 1
        if self._unanswered == 1:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Restart the count of bytes."""
        self._uncounted = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._in_body = False
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Begin the next request, or send the refusal that follows this answer."""
        self._unanswered -= 1
        super().on_response_complete()
        if self._refusal and not self._unanswered and not self.transport.is_closing():
            self._send_refusal(self._refusal)

    def _is_blocked(self) -> bool:
        """Whether parsing must wait for a queued request or a large body."""
        return bool(self.pipeline) or (
            self._unanswered > 0 and len(self.cycle.body) > HIGH_WATER_LIMIT
        )

    def _expects_more(self) -> bool:
        """Whether the client may still send, so a reset could discard answers."""
        return self._in_body or self._in_head or self._refusal is not None or self.flow.read_paused

    def _limit_time(self) -> None:
        """Start the idle timeout, unless a request is open or has begun."""
        if self._unanswered:
            self._timing_head = False
            self._unset_keepalive_if_required()
        elif not self._timing_head or self.timeout_keep_alive_task is None:
            self._timing_head = self._in_head
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.head_seconds, self.timeout_keep_alive_handler
            )

    def _resume(self) -> bool:
        """Parse the remaining input; return whether the socket may be read."""
        if self._refusal or self._is_blocked():
            return False
        if self._rest:
            # Later, because an answer that has just ended begins the next request after this call.
            self.loop.call_soon(self._parse_rest)
            return False
        return True

    def _parse_rest(self) -> None:
        """Parse until a request is queued, and pause reading while input remains."""
        if self.transport.is_closing():
            return
        step = max(len(self._rest) - STEP_BYTES, 0)
        while len(self._rest) > step and not self._is_blocked():
            piece, self._rest = self._rest[:PIECE_BYTES], self._rest[PIECE_BYTES:]
            self._parse(piece)
            if self._refusal or self.transport.is_closing():
                self._rest = _NOTHING
                return
        self._limit_time()
        if not self._rest and not self._is_blocked():
            self.flow.resume_reading()
            return
        self.flow.pause_reading()
        if not self._is_blocked():
            self.loop.call_soon(self._parse_rest)

    def _parse(self, piece: bytes | memoryview) -> None:
        """Parse input; refuse malformed requests and oversized incomplete ones."""
        while piece:
            self._uncounted += len(piece)
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:  # refused: what follows is HTTP too
                piece = piece[upgrade.args[0] :]
                continue
            except httptools.HttpParserError:
                self._refuse(MALFORMED)
                return
            break
        if self._uncounted > MAX_HEAD_BYTES:
            self._refuse(HEAD_TOO_LARGE)

    def _refuse(self, problem: Problem) -> None:
        """Stop parsing, and answer with this refusal in the request's turn."""
        self._refusal = problem
        self._rest = _NOTHING
        self.flow.pause_reading()
        if self._in_body and self.pipeline:  # it has not begun, and never does
            self.pipeline.popleft()
            self._unanswered -= 1
        elif self._in_body and self._unanswered:
            state = self.cycle.scope["state"]
            self.cycle.break_off(partial(self._send_refusal, problem, state))
        elif self._in_body:  # it has its answer
            self.transport.close()
        elif not self._unanswered:
            self._send_refusal(problem)

    def _send_refusal(self, problem: Problem, state: dict[str, Any] | None = None) -> None:
        """Send a refusal, with the state of a begun request, if any."""
        if state is None:
            state = {}
        state[REFUSAL] = problem
        request_id = state.get("request_id") or uuid.uuid4().hex
        where = {"request_id": request_id, "status": problem.status}
        _log.info("request_refused", extra=where)
        self.transport.write(write_refusal(problem, request_id, state.get(TRACE_ID)))
        self.transport.close()
