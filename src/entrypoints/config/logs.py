"""The log of the service and its libraries: one line an event."""

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from ordergate.entrypoints.config.log_buffer import BufferedHandler
from ordergate.entrypoints.config.settings import Settings

_ALWAYS_LOGGED = ("ordergate.access", "ordergate.audit")
"""Loggers of events that a setting or the operator asks for, at any level of the log."""
_BARE = re.compile(r"[^\s\"'\\=]+")
_NOT_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}
"""Standard attributes of a record, and uvicorn's second copy of its message."""


def configure_logging(settings: Settings, *, buffered: bool = False) -> None:
    """Send all log records through one formatter to standard error.

    `buffered` is for servers: no request waits for the log. Commands lose no line.
    """
    root = logging.getLogger()
    handler = _make_handler(root, settings, buffered=buffered)
    root.handlers[:] = [handler]  # those that go are not ours to close, as basicConfig would
    _set_levels(root, settings)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        if logger.handlers:  # else it is quiet on purpose, as the access log that costs much time
            logger.handlers.clear()
            logger.propagate = True
    # Alembic announces its work at INFO; the commands report the results.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # httpx2 logs every request at INFO; the callers log the outcomes.
    logging.getLogger("httpx2").setLevel(logging.WARNING)


def configure_own_log(settings: Settings) -> None:
    """Write Ordergate's log alone, for applications with a log of their own.

    The root logger stays as it is. As long as it has handlers, they write all records.
    """
    own = logging.getLogger("ordergate")
    handler = _make_handler(own, settings, buffered=True)
    handler.addFilter(_root_has_no_handlers)
    own.handlers[:] = [handler]
    _set_levels(own, settings)


def _set_levels(logger: logging.Logger, settings: Settings) -> None:
    logger.setLevel(settings.log_level.upper())
    for name in _ALWAYS_LOGGED:
        logging.getLogger(name).setLevel(logging.INFO)


def _root_has_no_handlers(_record: logging.LogRecord) -> bool:
    """Accept a record that the root logger does not write."""
    return not logging.getLogger().handlers


def _make_handler(logger: logging.Logger, settings: Settings, *, buffered: bool) -> logging.Handler:
    as_text = settings.log_format == "text" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    handler = _find_buffered_handler(logger) if buffered else logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    return handler


def _find_buffered_handler(logger: logging.Logger) -> logging.Handler:
    """Return the existing handler, or a new one for a file."""
    for handler in logger.handlers:
        if isinstance(handler, BufferedHandler):
            return handler
    try:
        return BufferedHandler(sys.stderr)
    except (AttributeError, OSError, ValueError):  # it is closed, or only in memory
        return logging.StreamHandler(sys.stderr) if sys.stderr else logging.NullHandler()


def add_to_lines(find: Callable[[], Mapping[str, str]]) -> None:
    """Add fields to each later line, such as trace ids.

    `find` is called where the event happens. Fields of the event itself come first.
    """

    def add(record: logging.LogRecord) -> bool:
        for name, value in find().items():
            vars(record).setdefault(name, value)
        return True

    for logger in (logging.getLogger(), logging.getLogger("ordergate")):
        for handler in logger.handlers:
            if isinstance(handler.formatter, JsonFormatter | TextFormatter):
                handler.addFilter(add)


def flush_log() -> None:
    """Write the buffered lines, within at most a second."""
    for handler in logging.getLogger().handlers:
        handler.flush()


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object: `event`, `level`, `logger`, `timestamp`, fields.

    `exception` has the traceback without local variables, which may hold passwords.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        event = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": _format_time(record),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            event["stack"] = record.stack_info
        return json.dumps({**event, **_list_fields(record), **event}, default=str)


class TextFormatter(logging.Formatter):
    """Formats a record for people: time, level, event, fields, traceback.

    Control characters, which the path of a request may hold, are escaped.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        fields = {**_list_fields(record), "logger": record.name}
        about = "".join(f" {name}={_quote(value)}" for name, value in fields.items())
        event = _escape(record.getMessage())
        lines = [f"{_format_time(record)} [{record.levelname.lower():8}] {event:30}{about}"]
        if record.exc_info:
            lines += map(_escape, self.formatException(record.exc_info).splitlines())
        if record.stack_info:
            lines += map(_escape, record.stack_info.splitlines())
        return "\n".join(lines)


def _format_time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")


def _list_fields(record: logging.LogRecord) -> dict[str, object]:
    """Return the `extra` fields of a record."""
    return {name: value for name, value in vars(record).items() if name not in _NOT_FIELDS}


def _escape(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]


def _quote(value: object) -> str:
    """Quote a value, so it cannot be read as several fields."""
    text = str(value)
    return text if _BARE.fullmatch(text) and text.isprintable() else repr(text)
