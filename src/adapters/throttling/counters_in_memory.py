"""Counters of one process for the `limits` library."""

import time

from limits.aio.storage import Storage

_MAX_COUNTERS = 250_000
"""They take about 75 MB; the one that began first is forgotten for another."""


class CountersInMemory(Storage):
    """Counters of one process, by a clock that is never set.

    All windows are of one length, so they end in the order in which they began. The memory of
    `limits` looks at every counter at every count: 7.5 ms with 100,000 of them.
    """

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, tuple[int, float]] = {}

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """Name the errors of the storage, of which it has none."""
        return ()

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, in a new window where there is none."""
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
        """Return the count of a window that has not ended."""
        count, end = self._windows.get(key, (0, 0.0))
        return count if end > time.monotonic() else 0

    async def get_expiry(self, key: str) -> float:
        """Return when the window ends, in seconds since 1970."""
        _, end = self._windows.get(key, (0, 0.0))
        return time.time() + max(0.0, end - time.monotonic())

    async def check(self) -> bool:
        """Say that it works."""
        return True

    async def reset(self) -> int:
        """Forget everything, and return how many counters there were."""
        number = len(self._windows)
        self._windows.clear()
        return number

    async def clear(self, key: str) -> None:
        """Forget a counter."""
        self._windows.pop(key, None)
