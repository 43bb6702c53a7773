"""The system clock, never set back within a process."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from ordergate.application.ports.clock import Clock

_log = logging.getLogger("ordergate.server")

_TOLERANCE = 1.0
_DRIFT = 0.001
"""The tolerated lag of the wall clock: seconds, and a part of the elapsed time, as by NTP."""


class SystemClock(Clock):
    """The wall clock in UTC, without any step back.

    It follows the wall clock forward. After the wall clock was set back, the time continues at the
    rate of the monotonic clock until the wall clock catches up, so expired values stay expired. A
    new process starts with the wall clock. The first change of more than a second is logged. Any
    thread may call it.

    `wall` and `monotonic` return seconds, as the functions of `time` do.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._latest = (wall(), monotonic())  # one tuple, so that no thread reads half a change
        self._warned = False

    def now(self) -> datetime:
        """Return the time, to the microsecond."""
        latest, latest_tick = self._latest
        tick = self._monotonic()
        wall = self._wall()
        passed = tick - latest_tick
        lag = latest + passed - wall
        if lag > 0 and (wall < latest or lag > _TOLERANCE + passed * _DRIFT):
            if lag > _TOLERANCE and not self._warned:
                self._warned = True
                _log.warning("clock_set_back", extra={"seconds": round(lag)})
            wall += lag
        self._latest = (wall, tick)
        return datetime.fromtimestamp(wall, UTC)
