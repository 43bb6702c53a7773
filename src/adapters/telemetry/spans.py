"""The span of each request, and the ids of the current one."""

import logging
from collections.abc import Sequence
from importlib.metadata import version
from types import TracebackType
from typing import Self

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    TracerProvider,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ordergate.adapters.system.tracing import CURRENT, Attributes

_NO_CONTEXT = Context()
"""The parent of a request that names none, whatever the task before it has left."""

_W3C = TraceContextTextMapPropagator()
_PARENT = b"traceparent"
_QUOTING_CLIENTS = ("opentelemetry.trace.span", "opentelemetry.trace.propagation.tracecontext")
"""Loggers whose warnings quote the headers of clients."""
_OTHER = "OTHER"
"""A method that HTTP does not define."""
_FIRST_OF_OURS = 500


def get_tracer(provider: TracerProvider) -> Tracer:
    """Return what makes the spans of this service."""
    for name in _QUOTING_CLIENTS:
        logging.getLogger(name).setLevel(logging.ERROR)
    return provider.get_tracer("ordergate", version("ordergate"))


def find_ids() -> dict[str, str]:
    """Return the ids of the current trace and span, if any."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": format_trace_id(context.trace_id),
        "span_id": format_span_id(context.span_id),
    }


class PartSpan:
    """A part of a request, as `Span` of `system.tracing` describes."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """The context of the span for another service."""
        fields: dict[str, str] = {}
        _W3C.inject(fields, set_span_in_context(self._span, _NO_CONTEXT))
        return fields["traceparent"]

    def add(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)

    def end(self, error: BaseException | None = None) -> None:
        """End it, with the name of an error."""
        if error is not None:
            self._span.set_attribute("error.type", type(error).__name__)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()

    def __enter__(self) -> Self:
        self._token = attach(set_span_in_context(self._span))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        detach(self._token)
        self.end(error)


class RecordedTrace:
    """Makes the parts of requests that are in the sample."""

    __slots__ = ("_tracer",)

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, name: str, attributes: Attributes, *, is_client: bool = False) -> PartSpan:
        """Begin a span below the current one."""
        kind = SpanKind.CLIENT if is_client else SpanKind.INTERNAL
        return PartSpan(self._tracer.start_span(name, kind=kind, attributes=attributes))


class RequestSpan:
    """The span of a request, current until its end.

    Its names and values are those of the HTTP semantic conventions. A client chooses none of them,
    and with `traceparent` the ids of the trace and the parent.
    """

    def __init__(
        self,
        tracer: Tracer,
        parts: RecordedTrace,
        method: str,
        headers: Sequence[tuple[bytes, bytes]],
        scheme: str,
    ) -> None:
        parent = _read_parent(headers)
        is_known = method != _OTHER
        self._name = method if is_known else "HTTP"
        self._span = tracer.start_span(
            self._name,
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method if is_known else "_OTHER",
                "url.scheme": scheme,
            },
        )
        self._token = attach(set_span_in_context(self._span, parent))
        # Also without parts: a request on a kept connection may begin in the context of the last.
        self._recorded = CURRENT.set(parts if self._span.is_recording() else None)
        context = self._span.get_span_context()
        self.trace_id = format_trace_id(context.trace_id) if context.is_valid else None

    def end(self, route: str | None, status: int | None) -> None:
        """End the span.

        `None` is a request without a route, or without an answer.
        """
        span = self._span
        if span.is_recording():
            if route is not None:
                span.update_name(f"{self._name} {route}")
                span.set_attribute("http.route", route)
            if status is None:
                span.set_attribute("error.type", "client_disconnected")
            else:
                span.set_attribute("http.response.status_code", status)
                if status >= _FIRST_OF_OURS:
                    span.set_attribute("error.type", str(status))
                    span.set_status(StatusCode.ERROR)
        span.end()
        CURRENT.reset(self._recorded)
        detach(self._token)


def _read_parent(headers: Sequence[tuple[bytes, bytes]]) -> Context:
    """Return the context that a request names by W3C Trace Context.

    A malformed or repeated `traceparent` is ignored, and so is `tracestate`: any text of a client.
    """
    parents = [value for name, value in headers if name == _PARENT]
    if len(parents) != 1:
        return _NO_CONTEXT
    return _W3C.extract({"traceparent": [parents[0].decode("latin-1")]}, _NO_CONTEXT)
