"""The export of spans by OTLP over HTTP."""

import logging
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from typing_extensions import override

FLUSH_SECONDS = 2.0
"""How long a process waits at its end until its spans are sent."""

_STATUSES = range(100, 600)
_QUOTING_HEADERS = "opentelemetry.util.re"
"""The logger that quotes a header of the collector, which may be a key."""

_log = logging.getLogger("ordergate.server")


def make_provider() -> TracerProvider:
    """Make the source of tracers; the SDK reads the variables `OTEL_*`.

    Its spans are sent by a thread of this process, which requests never wait for.
    """
    logging.getLogger(_QUOTING_HEADERS).addFilter(_name_wrong_headers)
    ours = {SERVICE_NAME: "ordergate", SERVICE_VERSION: version("ordergate")}
    resource = Resource.create({**ours, **OTELResourceDetector().detect().attributes})
    # The service closes it, within a time; the SDK would at exit, without one.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(ReportingExporter(OTLPSpanExporter())))
    return provider


def close_provider(provider: TracerProvider) -> None:
    """Send the spans that wait, for at most `FLUSH_SECONDS`."""
    closing = Thread(target=provider.shutdown, name="traces-flush", daemon=True)
    closing.start()
    closing.join(FLUSH_SECONDS)
    if closing.is_alive():
        _log.warning("traces_not_flushed", extra={"seconds": FLUSH_SECONDS})


def _name_wrong_headers(record: logging.LogRecord) -> bool:
    """Replace a message that has the value of a header."""
    record.msg = "OTEL_EXPORTER_OTLP_HEADERS needs entries `name=value`, encoded as in a URL"
    record.args = ()
    return True


class _Reasons(logging.Filter):
    """Keeps the first reason of an exporter, and logs no message.

    Messages may have the address of the collector and its headers, and so keys.
    """

    def __init__(self) -> None:
        super().__init__()
        self._first: str | None = None

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        self._first = self._first or next(map(_describe, filter(_is_reason, arguments)), None)
        return False

    def take_first(self) -> str:
        """Return the first reason since the last call."""
        first, self._first = self._first, None
        return first or "no attempt succeeded"


def _is_reason(argument: object) -> bool:
    is_status = isinstance(argument, int) and argument in _STATUSES
    return is_status or isinstance(argument, Exception)


def _describe(reason: object) -> str:
    """Name a status, a system error, or the class of another error."""
    if not isinstance(reason, BaseException):
        return f"status {reason}"
    for error in _find_causes(reason):
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
    return type(reason).__name__


def _find_causes(error: BaseException) -> Iterator[BaseException]:
    """Return the error and its causes; some are in `args`."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        waiting += [cause for cause in inner if isinstance(cause, BaseException)]


class ReportingExporter(SpanExporter):
    """Logs the beginning and the end of failures.

    The exporter itself logs each attempt.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._reasons = _Reasons()
        self._is_failing = False
        logging.getLogger(type(exporter).__module__).addFilter(self._reasons)

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; the SDK drops those of a failed attempt."""
        result = self._exporter.export(spans)
        reason = self._reasons.take_first()
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._is_failing:
            _log.warning("traces_not_exported", extra={"reason": reason})
        elif self._is_failing and not failed:
            _log.info("traces_exported_again")
        self._is_failing = failed
        return result

    @override
    def shutdown(self) -> None:
        """Give up waiting for another attempt."""
        self._exporter.shutdown()
