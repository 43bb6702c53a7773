"""Become a program on given cores that ends with its starter.

    python bench/harness/launch.py 0,1 program argument...

It uses the standard library only. Pinning and the end with its starter work on Linux only.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    if sys.platform == "linux":
        os.sched_setaffinity(0, map(int, sys.argv[1].split(",")))
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(sys.argv[2], sys.argv[2:])
