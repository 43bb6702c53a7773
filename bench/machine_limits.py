"""What the machine itself gives: bcrypt a second, the time of imports, the memory of processes."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import bcrypt

from bench.apps.sample import BCRYPT_COST, PASSWORD
from bench.load import CORES, Unavailable, on_cores

_THREADS = max(1, len(CORES))


def bcrypt_a_second(seconds: float) -> float:
    """Check one password on as many threads as there are cores, at the cost of the servers."""
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
    """Import FastAPI and SQLModel in a new interpreter, and nothing else."""
    began = time.perf_counter()
    command = [*on_cores(CORES), sys.executable, "-c", "import fastapi, sqlmodel"]
    subprocess.run(command, check=True)  # noqa: S603 - the interpreter itself
    return time.perf_counter() - began


def memory_of(pid: int) -> float:
    """Return the resident memory of a process without children in MiB.

    Raises `Unavailable` where no /proc is, or others do its work.
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
    """Wait until a process does nothing for half a second; five minutes at most, on Linux alone.

    Sign-ins whose clients have left are hashed all the same, and a large file is checked while it
    is served; on the core where others are measured, that would be their loss.
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
