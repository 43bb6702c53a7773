"""The span of each request, small outside the sample."""

import logging
from collections.abc import Sequence
from contextvars import ContextVar
from importlib.metadata import version
from typing import NamedTuple

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes
from typing_extensions import override

from ordergate.adapters.system.tracing import CURRENT
from ordergate.adapters.telemetry.spans import NO_CONTEXT, W3C, IsRefusal, RecordedTrace

_PARENT = b"traceparent"
_QUOTING_CLIENTS = ("opentelemetry.trace.span", "opentelemetry.trace.propagation.tracecontext")
"""Loggers whose warnings quote the headers of clients."""
_OTHER = "OTHER"
"""A method that HTTP does not define."""
_FIRST_OF_OURS = 500


class RequestSpan:
    """The span of a request, current until its end.

    Its names and values are those of the HTTP semantic conventions. A client chooses none of them,
    and with `traceparent` the ids of the trace and the parent.
    """

    __slots__ = ("_name", "_recorded", "_span", "_token", "trace_id")

    def __init__(
        self, name: str, span: Span, trace_id: str | None, parts: RecordedTrace | None
    ) -> None:
        self._name = name
        self._span = span
        self.trace_id = trace_id
        self._token = attach(set_span_in_context(span, NO_CONTEXT))
        # Also without parts: a request on a kept connection may begin in the context of the last.
        self._recorded = None if CURRENT.get() is parts else CURRENT.set(parts)

    @property
    def is_recorded(self) -> bool:
        """Whether it is in the sample."""
        return self._span.is_recording()

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
        if self._recorded is not None:
            CURRENT.reset(self._recorded)
        detach(self._token)


class RequestSpans:
    """Begins the spans of requests.

    The sampler decides first. The SDK sees only the requests that are recorded.
    """

    def __init__(self, provider: TracerProvider, is_refusal: IsRefusal) -> None:
        for name in _QUOTING_CLIENTS:
            logging.getLogger(name).setLevel(logging.ERROR)
        self._sampler = provider.sampler
        self._ids = provider.id_generator
        provider.sampler = _DecidedSampler(provider.sampler)
        provider.id_generator = _DecidedIds(provider.id_generator)
        self._tracer = provider.get_tracer("ordergate", version("ordergate"))
        self._is_off = isinstance(self._tracer, NoOpTracer)
        self._parts = RecordedTrace(self._tracer, is_refusal)

    def begin(
        self, method: str, headers: Sequence[tuple[bytes, bytes]], scheme: str
    ) -> RequestSpan:
        """Begin the span of a request."""
        is_known = method != _OTHER
        name = method if is_known else "HTTP"
        parent, trace_id = NO_CONTEXT, 0
        if parents := [value for field, value in headers if field == _PARENT]:
            parent = _read_parent(parents)
            trace_id = get_current_span(parent).get_span_context().trace_id
        if self._is_off:
            span = get_current_span(parent)
            return RequestSpan(name, span, f"{trace_id:032x}" if trace_id else None, None)
        trace_id = trace_id or self._ids.generate_trace_id()
        attributes = {
            "http.request.method": method if is_known else "_OTHER",
            "url.scheme": scheme,
        }
        decided = self._sampler.should_sample(parent, trace_id, name, SpanKind.SERVER, attributes)
        if decided.decision is Decision.DROP:
            return RequestSpan(
                name,
                _UnrecordedSpan(trace_id, self._ids.generate_span_id(), decided),
                f"{trace_id:032x}",
                None,
            )
        token = _DECIDED.set(_Decision(trace_id, decided))
        try:
            span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes)
        finally:
            _DECIDED.reset(token)
        return RequestSpan(name, span, f"{trace_id:032x}", self._parts)


class _UnrecordedSpan(NonRecordingSpan):
    """A span outside the sample, which makes its context on demand."""

    def __init__(self, trace_id: int, span_id: int, decided: SamplingResult) -> None:
        self._ids = trace_id, span_id
        self._decided = decided

    @override
    def get_span_context(self) -> SpanContext:
        trace_id, span_id = self._ids
        state = self._decided.trace_state
        return SpanContext(trace_id, span_id, is_remote=False, trace_state=state)

    @override
    def __repr__(self) -> str:
        return f"NonRecordingSpan({self.get_span_context()!r})"


class _Decision(NamedTuple):
    """What the sampler has said of a trace."""

    trace_id: int
    result: SamplingResult


_DECIDED: ContextVar[_Decision | None] = ContextVar("ordergate_decided", default=None)


class _DecidedSampler(Sampler):
    """Repeats the decision for a request, and else asks the sampler."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    @override
    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if decided := _DECIDED.get():
            return decided.result
        return self._sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    @override
    def get_description(self) -> str:
        return self._sampler.get_description()


class _DecidedIds(RandomIdGenerator):
    """Gives a request the trace id that the sampler saw."""

    def __init__(self, ids: IdGenerator) -> None:
        self._ids = ids

    @override
    def generate_trace_id(self) -> int:
        decided = _DECIDED.get()
        return decided.trace_id if decided else self._ids.generate_trace_id()

    @override
    def generate_span_id(self) -> int:
        return self._ids.generate_span_id()

    @override
    def is_trace_id_random(self) -> bool:
        return self._ids.is_trace_id_random()


def _read_parent(parents: Sequence[bytes]) -> Context:
    """Return the context that `traceparent` names (W3C Trace Context).

    A malformed or repeated one is ignored, and so is `tracestate`: any text of a client.
    """
    if len(parents) != 1:
        return NO_CONTEXT
    return W3C.extract({"traceparent": [parents[0].decode("latin-1")]}, NO_CONTEXT)
