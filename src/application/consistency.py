"""What a request needs of copies of the storage that lag behind."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Consistency:
    """The positions of a request among the writes of a storage.

    A position is a whole number of at most 96 bits, and a later write has a greater one. A read may
    come from a copy that has every write up to `needed`; `None` permits no copy. The storage notes
    the last write that the request made or found as `written`. `is_writing` says that it may have
    made one.
    """

    needed: int | None = None
    written: int | None = None
    is_writing: bool = False

    def note(self, position: int) -> None:
        """Note a write of this position."""
        self.written = max(position, self.written or 0)


CURRENT: ContextVar[Consistency | None] = ContextVar("ordergate_consistency", default=None)
"""The consistency of the current request, and `None` where a storage has no copy.

Tasks and greenlets take it along.
"""


def begin_write() -> None:
    """Note that the request may write from now on."""
    if consistency := CURRENT.get():
        consistency.is_writing = True
