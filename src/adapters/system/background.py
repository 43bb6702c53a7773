"""Threads that run while a processor has nothing else to do."""

import os
import sys
from contextlib import suppress

_NICE = 19


def run_at_idle_priority(thread: int = 0) -> None:
    """Lower a thread, by its native id, or the calling one to idle scheduling priority.

    A thread that is merely nice may finish its slice of some milliseconds when the event loop wakes
    up; an idle one stops immediately. It stops for other programs too: beside busy ones it hardly
    runs, and an unprivileged process cannot raise it again. musl has no scheduling classes, and a
    sandbox may forbid either call; then the thread stays as it is. On other systems than Linux,
    where a priority is a whole process's, this does nothing.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, _NICE)
    with suppress(OSError):
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
