"""Spans of statements, with the names of OpenTelemetry's conventions for databases."""

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import lru_cache
from typing import Any, Generic, NamedTuple, cast

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext

from ordergate.adapters.sql.database import T
from ordergate.adapters.sql.recognition import TABLES, TURNS
from ordergate.adapters.system.tracing import CURRENT, Attributes, Span, Trace

_PART = re.compile(
    r"(?<!FOR )(?<!KEY )\b(?P<operation>SELECT|INSERT|UPDATE|DELETE)\b(?! SET\b)"
    rf"|(?<=[\s,(.])(?P<table>{'|'.join((*TABLES, TURNS))})\b(?!\.)"
)
_SUMMARIES = 1_024
_SPAN = "_ordergate_span"
_UNTRACED = nullcontext()


class Server(NamedTuple):
    """A database in spans; SQLite has no address."""

    system: str
    address: str | None = None
    port: int | None = None


SQLITE = Server("sqlite")


def trace_statement(sql: str, server: Server) -> AbstractContextManager[object]:
    """Return the span of a statement that SQLAlchemy does not execute.

    The text has no values. Without a recorded trace, nothing is made.
    """
    trace = CURRENT.get()
    return _UNTRACED if trace is None else _begin_statement(trace, sql, server)


def trace_commit(server: Server) -> AbstractContextManager[object]:
    """Return the span of a COMMIT."""
    trace = CURRENT.get()
    return _UNTRACED if trace is None else _begin(trace, "COMMIT", server, "COMMIT")


def trace_statements(engine: Engine) -> None:
    """Make spans of what SQLAlchemy executes, from the first recorded trace on.

    Until then, statements are not observed and take no longer.
    """
    if CURRENT.get() is None or event.contains(engine, "before_cursor_execute", _on_begin):
        return
    event.listen(engine, "before_cursor_execute", _on_begin)
    event.listen(engine, "after_cursor_execute", _on_end)
    event.listen(engine, "handle_error", _on_error, insert=True)  # another may raise


class TracedWork(Generic[T]):
    """A job of a recorded trace, for a thread."""

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self._work = work
        self._context = copy_context()

    def __call__(self, connection: Connection) -> T:
        """Run the job in the context of its caller."""
        return self._context.run(self._run, connection)

    def begin_commit(self, writes: int) -> Span | None:
        """Begin the span of the commit that the job shares."""
        return self._context.run(_begin_group_commit, writes)

    def _run(self, connection: Connection) -> T:
        trace_statements(connection.engine)
        return self._work(connection)


def carry_trace(work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    """Return the job for a thread, with its recorded trace if any."""
    return work if CURRENT.get() is None else TracedWork(work)


def commit_group(commit: Callable[[], object], jobs: Iterable[Callable[..., Any]]) -> None:
    """Commit jobs together; each has a span in its own trace."""
    works = list(jobs)
    begun = [each.begin_commit(len(works)) for each in works if isinstance(each, TracedWork)]
    failure: BaseException | None = None
    try:
        commit()
    except BaseException as error:
        failure = error
        raise
    finally:
        for span in filter(None, begun):
            span.end(failure)


def _begin_statement(trace: Trace, sql: str, server: Server) -> Span:
    summary, operation = summarize(sql)
    more = {"db.query.summary": summary, "db.query.text": sql}
    return _begin(trace, summary, server, operation, more)


def _begin_group_commit(writes: int) -> Span | None:
    trace = CURRENT.get()
    if trace is None:
        return None
    more = {"ordergate.group_commit.writes": writes}
    return _begin(trace, "COMMIT", SQLITE, "COMMIT", more)


def _begin(
    trace: Trace,
    name: str,
    server: Server,
    operation: str | None,
    more: Attributes | None = None,
) -> Span:
    attributes: dict[str, str | int | float] = {"db.system.name": server.system, **(more or {})}
    if operation is not None:
        attributes["db.operation.name"] = operation
    if server.address is not None:
        attributes["server.address"] = server.address
    if server.port is not None:
        attributes["server.port"] = server.port
    return trace.begin(name, attributes, is_client=True)


@lru_cache(maxsize=_SUMMARIES)
def summarize(sql: str) -> tuple[str, str | None]:
    """Return operations with their tables, and the only operation.

    A statement of several operations has no only one.
    """
    parts: list[list[str]] = []
    for found in _PART.finditer(sql):
        if found["operation"]:
            parts.append([found[0]])
        elif parts and found[0] not in parts[-1]:
            parts[-1].append(found[0])
    named = [part for part in parts if len(part) > 1] or [[sql.split(None, 1)[0].upper()]]
    operations = {part[0] for part in named}
    only = operations.pop() if len(operations) == 1 else None
    return " ".join(word for part in named for word in part), only


def _on_begin(*event_arguments: object) -> None:
    connection, _, sql, _, context, _ = event_arguments
    if (trace := CURRENT.get()) is not None:
        driver = cast("Connection", connection).connection.driver_connection
        server: Server = getattr(driver, "server", SQLITE)
        setattr(context, _SPAN, _begin_statement(trace, str(sql), server))


def _on_end(*event_arguments: object) -> None:
    _, _, _, _, context, _ = event_arguments
    _end(context, None)


def _on_error(failure: ExceptionContext) -> None:
    _end(failure.execution_context, failure.original_exception)


def _end(context: object, error: BaseException | None) -> None:
    """End the span of a statement once: rows are read later."""
    span: Span | None = getattr(context, _SPAN, None)
    if span is not None:
        span.end(error)
        setattr(context, _SPAN, None)
