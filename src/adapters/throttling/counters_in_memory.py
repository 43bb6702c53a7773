"""In-memory counters for the `limits` library."""

import time

from limits.aio.storage import Storage

_MAX_COUNTERS = 250_000
"""About 75 MB. A further counter replaces the one that began first."""


class CountersInMemory(Storage):
    """Counters of one process, by a clock that is never set.

    All windows have one length, so they end in the order in which they began. The memory storage of
    `limits` scans all counters at each count: 7.5 ms for 100,000.
    """

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, tuple[int, float]] = {}

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """Return no errors: this storage has none."""
        return ()

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, in a new window if there is none."""
        now = time.monotonic()
        while self._windows:
            first = next(iter(self._windows))
            has_room = key in self._windows or len(self._windows) < _MAX_COUNTERS
            if has_room and self._windows[first][1] > now:
                break
            del self._windows[first]
        count, end = self._windows.get(key, (0, now + expiry))
        self._windows[key] = count + amount, end  # it keeps its place
        return count + amount

    async def get(self, key: str) -> int:
        """Return the count of a current window."""
        count, end = self._windows.get(key, (0, 0.0))
        return count if end > time.monotonic() else 0

    async def get_expiry(self, key: str) -> float:
        """Return the end of the window, in seconds since 1970."""
        _, end = self._windows.get(key, (0, 0.0))
        return time.time() + max(0.0, end - time.monotonic())

    async def check(self) -> bool:
        """Report that the storage works."""
        return True

    async def reset(self) -> int:
        """Remove all counters and return their number."""
        number = len(self._windows)
        self._windows.clear()
        return number

    async def clear(self, key: str) -> None:
        """Remove a counter."""
        self._windows.pop(key, None)
