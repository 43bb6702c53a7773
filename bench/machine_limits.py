"""What the machine itself gives: bcrypt a second, the time of imports, the memory of processes."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import bcrypt

from bench.apps.sample import BCRYPT_COST, PASSWORD
from bench.contestants import THIS, await_answer, begin, end, free_port
from bench.load import CORES, Unavailable

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
    subprocess.run([sys.executable, "-c", "import fastapi, sqlmodel"], check=True)
    return time.perf_counter() - began


def seconds_to_first_answer(folder: Path, database: str) -> float:
    """Start `ordergate serve` and ask until it answers."""
    port = free_port()
    began = time.perf_counter()
    process = begin(THIS, folder, database, CORES, port=port)
    try:
        await_answer(process, f"http://127.0.0.1:{port}")
        return time.perf_counter() - began
    finally:
        end(process)


def memory_of(pid: int) -> float:
    """Return the resident memory of a process in MiB. Raises `Unavailable` where no /proc is."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        raise Unavailable("memory is read from /proc, which is not here") from None
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
