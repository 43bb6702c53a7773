"""Storages on SQLAlchemy, whose steps fail when a test says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from tests.contracts.atomicity import Failure


@contextmanager
def failing_statements(failure: Failure, cause: Exception | None = None) -> Iterator[None]:
    """Count each statement and each COMMIT of every engine of SQLAlchemy's as a step.

    `cause` is what the driver seems to report.
    """
    reported = cause or Exception("failed by a test")

    def step(*_: object) -> None:
        failure.step(OperationalError("a statement", None, reported))

    for name in ("before_cursor_execute", "commit"):
        event.listen(Engine, name, step)
    try:
        yield
    finally:
        for name in ("before_cursor_execute", "commit"):
            event.remove(Engine, name, step)
