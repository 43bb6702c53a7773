"""Reverse proxies of the system, run as programs."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.support.command import SECONDS, wait_until
from tests.support.programs import find_program


@contextmanager
def run_proxy(
    name: str, arguments: list[str], folder: Path, probe: Callable[[], httpx2.Response]
) -> Iterator[None]:
    """Run a proxy, from its first answer on."""
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [find_program(name), *arguments],
            env={"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/bin"},
            stdout=output,
            stderr=output,
        )

    def answers() -> bool:
        assert process.poll() is None, (folder / "output").read_text()
        try:
            return probe().status_code == 200
        except httpx2.TransportError:
            return False

    try:
        wait_until(answers)
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)
