"""The log: one event a line on standard error, from us and from libraries alike."""

import json
import logging
import re
import sys
from datetime import UTC, datetime

from entrypoints.settings import Settings

_BARE = re.compile(r"[^\s\"'\\=]+")
_NOT_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}
"""What a record has by itself, and the second copy of its message that uvicorn adds."""


def configure_logging(settings: Settings) -> None:
    """Send everything that is logged through one formatter."""
    as_text = settings.log_format == "text" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
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
    # httpx tells at INFO that it asked; what came of it is told by who asked.
    logging.getLogger("httpx").setLevel(logging.WARNING)


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
