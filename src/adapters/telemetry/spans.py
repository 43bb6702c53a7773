"""Spans within a recorded request, and the ids of the current one."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ordergate.adapters.system.tracing import Attributes

NO_CONTEXT = Context()
"""The parent of a span that has none, whatever the task before it has left."""

W3C = TraceContextTextMapPropagator()

IsRefusal = Callable[[BaseException], bool]
"""Reports whether an error is an outcome of the work, and no failure."""


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

    __slots__ = ("_is_refusal", "_span", "_token")

    def __init__(self, span: Span, is_refusal: IsRefusal) -> None:
        self._span = span
        self._is_refusal = is_refusal

    @property
    def traceparent(self) -> str:
        """The context of the span for another service."""
        fields: dict[str, str] = {}
        W3C.inject(fields, set_span_in_context(self._span, NO_CONTEXT))
        return fields["traceparent"]

    def add(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)

    def end(self, error: BaseException | None = None) -> None:
        """End it, with the name of an error."""
        if error is not None and self._is_refusal(error):
            self._span.set_attribute("ordergate.outcome", type(error).__name__)
        elif error is not None:
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

    __slots__ = ("_is_refusal", "_tracer")

    def __init__(self, tracer: Tracer, is_refusal: IsRefusal) -> None:
        self._tracer = tracer
        self._is_refusal = is_refusal

    def begin(self, name: str, attributes: Attributes, *, is_client: bool = False) -> PartSpan:
        """Begin a span below the current one."""
        kind = SpanKind.CLIENT if is_client else SpanKind.INTERNAL
        span = self._tracer.start_span(name, kind=kind, attributes=attributes)
        return PartSpan(span, self._is_refusal)
