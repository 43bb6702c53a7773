"""The log: one event a line on standard error, from us and from libraries alike."""

import logging
import sys

import structlog

from entrypoints.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send what structlog and the standard library log through one formatter.

    Tracebacks are written without the values of local variables: passwords are among them.
    """
    as_text = settings.log_format == "text" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    rendering: list[structlog.typing.Processor] = (
        [
            _escape,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
        if as_text
        else [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(), _drop_colors],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
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


def _escape(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Write what a terminal would obey, as the path of a request may hold, as escapes."""
    return {
        name: value.encode("unicode_escape").decode()
        if isinstance(value, str) and name != "exception" and not value.isprintable()
        else value
        for name, value in event.items()
    }


def _drop_colors(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Drop the second copy of its message that uvicorn adds for terminals."""
    event.pop("color_message", None)
    return event
