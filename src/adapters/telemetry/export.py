"""The export of spans by OTLP over HTTP."""

import logging
import re
from collections.abc import Sequence
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

_ADDRESS = re.compile(r"\burl: \S+")
"""The part of a message that may have a key, in the query of the endpoint."""

_log = logging.getLogger("ordergate.server")


def make_provider() -> TracerProvider:
    """Make the source of tracers; the SDK reads the variables `OTEL_*`.

    Its spans are sent by a thread of this process, which requests never wait for.
    """
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


class _Messages(logging.Filter):
    """Keeps the first message of an exporter instead of logging all."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[str] = []

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        self._kept = self._kept or [record.getMessage()]
        return False

    def take_first(self) -> str:
        """Return the first message since the last call."""
        kept, self._kept = self._kept, []
        return kept[0] if kept else "unknown"


class ReportingExporter(SpanExporter):
    """Logs the beginning and the end of failures.

    The exporter itself logs each attempt.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._messages = _Messages()
        self._is_failing = False
        logging.getLogger(type(exporter).__module__).addFilter(self._messages)

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; the SDK drops those of a failed attempt."""
        result = self._exporter.export(spans)
        reason = _ADDRESS.sub("url: …", self._messages.take_first())
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
