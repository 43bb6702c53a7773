"""Whether threads of the idle scheduling class get too little of the processors."""

import math
from typing import NamedTuple

_STARVED = 1 / 6
"""Yielding threads that get less of one processor than this, all together, are starved.

Beside busy programs they get about a hundredth; a fair share beside five is a sixth.
"""
_BUSY = 1 / 2
"""A service that uses more of one processor than this beside its hashing starves it by itself."""
_SHARE = 1 / 10
"""What jobs may take of one processor from a service that starves them by itself."""
_WINDOW_OF_A_JOB = 1 / 8
_WINDOW_SECONDS = 0.01, 0.05
"""How long is measured before a job is started again: a part of what it takes, within bounds."""


class Usage(NamedTuple):
    """Seconds on the wall's clock, and of processors: yielding threads, and all but hashing."""

    wall: float
    yielding: float
    service: float


class Starvation:
    """Compares usage at the start of a window with usage now.

    `job_seconds` is the processor time of a job, or 0 before the first has ended.
    """

    def __init__(self) -> None:
        self._start = Usage(0.0, 0.0, 0.0)
        self._window = _WINDOW_SECONDS[1]
        self._competed_at = -math.inf

    def start_window(self, now: Usage, *, job_seconds: float) -> float:
        """Measure from now on; return the seconds until the window is full."""
        self._start = now
        least, most = _WINDOW_SECONDS
        self._window = max(least, min(job_seconds * _WINDOW_OF_A_JOB or most, most))
        return self._window

    def allows_competing(self, now: Usage, *, job_seconds: float) -> bool:
        """Return whether a job may be started on a thread of the normal class."""
        wall = now.wall - self._start.wall
        if wall < self._window * 0.9:  # it says nothing
            return False
        if now.yielding - self._start.yielding > wall * _STARVED:
            return False
        if now.service - self._start.service < wall * _BUSY:
            return True
        return now.wall >= self._competed_at + job_seconds / _SHARE

    def note_competing(self, now: Usage) -> None:
        """Remember that a job was started on a thread of the normal class."""
        self._competed_at = now.wall
