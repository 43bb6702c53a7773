"""Detection of idle-priority threads that get too little processor time."""

import math
from typing import NamedTuple

_STARVED = 1 / 6
"""The share of one processor below which all idle threads together are starved.

Beside busy programs they get about a hundredth; a fair share beside five is a sixth.
"""
_BUSY = 1 / 2
"""The share of one processor above which the rest of the service starves them itself."""
_SHARE = 1 / 10
"""The share of one processor for jobs when the service starves them itself."""
_WINDOW_OF_A_JOB = 1 / 8
_WINDOW_SECONDS = 0.01, 0.05
"""The minimum and maximum of a measurement, which is a part of a job's time."""


class Usage(NamedTuple):
    """The wall clock, and the processor time of two groups of threads.

    All times are seconds: those of the idle threads, and those of all threads except hashing.
    """

    wall: float
    yielding: float
    service: float


class Starvation:
    """Compares usage at the start of a window with current usage.

    `job_seconds` is the processor time of a job, or 0 before the first has ended.
    """

    def __init__(self) -> None:
        self._start = Usage(0.0, 0.0, 0.0)
        self._window = _WINDOW_SECONDS[1]
        self._competed_at = -math.inf

    def start_window(self, now: Usage, *, job_seconds: float) -> float:
        """Start a measurement and return its length in seconds."""
        self._start = now
        least, most = _WINDOW_SECONDS
        self._window = max(least, min(job_seconds * _WINDOW_OF_A_JOB or most, most))
        return self._window

    def allows_competing(self, now: Usage, *, job_seconds: float) -> bool:
        """Return whether a job may start at normal priority."""
        wall = now.wall - self._start.wall
        if wall < self._window * 0.9:  # it says nothing
            return False
        if now.yielding - self._start.yielding > wall * _STARVED:
            return False
        if now.service - self._start.service < wall * _BUSY:
            return True
        return now.wall >= self._competed_at + job_seconds / _SHARE

    def note_competing(self, now: Usage) -> None:
        """Note that a job started at normal priority."""
        self._competed_at = now.wall
