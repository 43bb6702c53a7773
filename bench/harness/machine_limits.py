"""The limits of the machine: bcrypt rate, import time, memory of processes."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import bcrypt

from bench.apps.sample import BCRYPT_COST, PASSWORD
from bench.harness.load import CORES, Unavailable, on_cores

_THREADS = max(1, len(CORES))


def bcrypt_a_second(seconds: float) -> float:
    """Check one password on each core, at the servers' cost."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(BCRYPT_COST))
    began = time.perf_counter()

    def check(_: None) -> int:
        checked = 0
        while time.perf_counter() < began + seconds:
            assert bcrypt.checkpw(PASSWORD.encode(), hashed)
            checked += 1
        return checked

    with ThreadPoolExecutor(_THREADS) as threads:
        checked = sum(threads.map(check, repeat(None, _THREADS)))
    return checked / (time.perf_counter() - began)


def seconds_to_import() -> float:
    """Import FastAPI and SQLModel in a new interpreter."""
    began = time.perf_counter()
    command = [*on_cores(CORES), sys.executable, "-c", "import fastapi, sqlmodel"]
    subprocess.run(command, check=True)  # noqa: S603 - the interpreter itself
    return time.perf_counter() - began


def measure_memory(pid: int) -> float:
    """Return the resident memory of a process without children, in MiB.

    Raises `Unavailable` without /proc, and for a process with children.
    """
    process = Path(f"/proc/{pid}")
    try:
        status = (process / "status").read_text()
        children = (process / "task" / str(pid) / "children").read_text()
    except OSError:
        raise Unavailable("memory is read from /proc, which is not here") from None
    if children:
        raise Unavailable("what was started serves through other processes")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def settle(pid: int) -> None:
    """Wait until a process is idle for half a second.

    Waits five minutes at most. Works on Linux only.

    Sign-ins of disconnected clients are still hashed, and a large file is checked while it is
    served. Both would disturb the next measurement on that core.
    """
    used, deadline = -1.0, time.monotonic() + 300
    while (now := _processor_seconds(pid)) > used and time.monotonic() < deadline:
        used = now + 0.01  # a worker looks around now and then
        time.sleep(0.5)


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return -1.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
