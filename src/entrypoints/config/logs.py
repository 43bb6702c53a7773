"""The log: one event a line on standard error, from us and from libraries alike."""

import json
import logging
import re
import sys
from datetime import UTC, datetime

from ordergate.entrypoints.config.log_buffer import BufferedHandler
from ordergate.entrypoints.config.settings import Settings

_BARE = re.compile(r"[^\s\"'\\=]+")
_NOT_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}
"""What a record has by itself, and the second copy of its message that uvicorn adds."""


def configure_logging(settings: Settings, *, buffered: bool = False) -> None:
    """Send everything that is logged through one formatter.

    `buffered` is for servers: no request waits until a line is written. Commands lose no line.
    """
    as_text = settings.log_format == "text" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    root = logging.getLogger()
    handler = _buffered(root) if buffered else logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root.handlers[:] = [handler]  # those that go are not ours to close, as basicConfig would
    root.setLevel(settings.log_level.upper())
    logging.getLogger("ordergate.audit").setLevel(logging.INFO)  # a record is no chatter
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        if logger.handlers:  # else it is quiet on purpose, as the access log that costs much time
            logger.handlers.clear()
            logger.propagate = True
    # Alembic tells at INFO what it is about to do; the commands say what they did.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # httpx logs every request at INFO; the callers log the outcomes.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _buffered(root: logging.Logger) -> logging.Handler:
    """Return the handler that there is already, or a new one where standard error is a file."""
    for handler in root.handlers:
        if isinstance(handler, BufferedHandler):
            return handler
    try:
        return BufferedHandler(sys.stderr)
    except (AttributeError, OSError, ValueError):  # it is closed, or only in memory
        return logging.StreamHandler(sys.stderr) if sys.stderr else logging.NullHandler()


def flush_log() -> None:
    """Let what was logged be written, as far as standard error takes it within a second."""
    for handler in logging.getLogger().handlers:
        handler.flush()


class JsonFormatter(logging.Formatter):
    """An object a line: `event`, `level`, `logger`, `timestamp`, then what the event is about.

    `exception` has the traceback, without the values of local variables: passwords are among them.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        event = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": _time(record),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            event["stack"] = record.stack_info
        return json.dumps({**event, **_fields(record), **event}, default=str)


class TextFormatter(logging.Formatter):
    """A line for people: time, level, event, then what it is about; a traceback follows it.

    What a terminal would obey, as the path of a request may hold, is written as escapes.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        fields = {**_fields(record), "logger": record.name}
        about = "".join(f" {name}={_quoted(value)}" for name, value in fields.items())
        event = _printable(record.getMessage())
        lines = [f"{_time(record)} [{record.levelname.lower():8}] {event:30}{about}"]
        if record.exc_info:
            lines += map(_printable, self.formatException(record.exc_info).splitlines())
        if record.stack_info:
            lines += map(_printable, record.stack_info.splitlines())
        return "\n".join(lines)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Return what was logged as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _NOT_FIELDS}


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]


def _quoted(value: object) -> str:
    """Write a value so that it cannot be taken for several fields."""
    text = str(value)
    return text if _BARE.fullmatch(text) and text.isprintable() else repr(text)
