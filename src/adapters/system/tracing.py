"""The trace of the current work, for adapters that make spans."""

from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol, Self

Attributes = Mapping[str, str | int | float]
"""Values of a span by their names. None is a secret, or a value of a statement."""


class Span(Protocol):
    """A part of a trace.

    Within it as a context manager, other spans are its children. It then ends with the error, if
    any. A refusal of the application is its outcome, and no failure.
    """

    @property
    def traceparent(self) -> str:
        """The context of the span for another service (W3C Trace Context)."""

    def add(self, attributes: Attributes) -> None:
        """Add attributes."""

    def end(self, error: BaseException | None = None) -> None:
        """End it, with the name of an error and never its message."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Trace(Protocol):
    """Makes spans below the current one."""

    def begin(self, name: str, attributes: Attributes, *, is_client: bool = False) -> Span:
        """Begin a span; `is_client` is work of another program."""


CURRENT: ContextVar[Trace | None] = ContextVar("ordergate_trace", default=None)
"""The trace of the current request, and `None` if it is not recorded.

Tasks and greenlets take it along. A thread needs the context of the request.
"""
