"""A collector of OpenTelemetry: a receiver of OTLP over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.program.command import wait_until

SERVER, CLIENT, INTERNAL = 2, 3, 1
"""Kinds of spans, as their protocol numbers them."""


@dataclass(frozen=True)
class Span:
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    attributes: dict[str, Any]
    failed: bool
    began: int
    ended: int


@dataclass
class Collector:
    """What a receiver at `url` has got."""

    url: str
    spans: list[Span] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def receive(self, body: bytes) -> None:
        self.raw.append(body)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(_read(of_resource.resource.attributes))
            for of_scope in of_resource.scope_spans:
                self.spans += map(_read_span, of_scope.spans)

    def wait_for(self, name: str, number: int = 1) -> list[Span]:
        """Wait for so many spans of a name."""
        wait_until(lambda: len(self.find(name)) >= number)
        return self.find(name)

    def find(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def list_children(self, of: Span) -> list[Span]:
        """Return the spans below another, the earliest first."""
        return sorted(
            (span for span in self.spans if span.parent == of.span_id), key=lambda span: span.began
        )


def _read(attributes: Any) -> dict[str, Any]:
    values = {each.key: each.value for each in attributes}
    return {key: getattr(value, value.WhichOneof("value")) for key, value in values.items()}


def _read_span(span: Any) -> Span:
    return Span(
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _read(span.attributes),
        span.status.code == span.status.STATUS_CODE_ERROR,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
    )


@contextmanager
def collect() -> Iterator[Collector]:
    """Run a collector on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.receive(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
