"""Threads that run while a processor has nothing else to do."""

import os
import sys
from contextlib import suppress

_NICE = 19


def stand_back() -> None:
    """Let all other threads of this service go before the one that calls.

    A thread that is merely nice may finish its slice of some milliseconds when the event loop wakes
    up; an idle one stops at once. But musl knows none, and a sandbox may forbid either: then it is
    left as it is. So it is elsewhere than on Linux, where a priority is a whole process's.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
