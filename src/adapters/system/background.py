"""Threads that run while a processor is idle."""

import os
import sys
from contextlib import suppress

_NICE = 19


def run_at_idle_priority(thread: int = 0) -> None:
    """Lower a thread to idle scheduling priority (Linux only).

    The thread is given by its native id; the default is the calling thread. A nice thread may
    finish its time slice of some milliseconds when the event loop wakes up; an idle one stops
    immediately. It also stops for other programs, so it hardly runs beside busy ones, and an
    unprivileged process cannot raise it again. musl has no scheduling classes, and a sandbox may
    forbid the call; the thread stays unchanged then. On other systems, where a priority belongs to
    a process, this does nothing.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, _NICE)
    with suppress(OSError):
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
