"""What a request needs of copies of the storage that lag behind."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Consistency:
    """The positions of a request among the writes of a storage.

    A position is a whole number from 0 to 2^64-1; a later write has a greater one. A read
    may come from a copy that has every write up to `needed`; `None` permits no copy. The storage
    notes the last write that the request made or found as `written`.
    """

    needed: int | None = None
    written: int | None = None

    def note(self, position: int) -> None:
        """Note a write of this position."""
        self.written = max(position, self.written or 0)


CURRENT: ContextVar[Consistency | None] = ContextVar("ordergate_consistency", default=None)
"""The consistency of the current request, and `None` where a storage has no copy.

Tasks and greenlets take it along.
"""
