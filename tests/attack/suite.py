"""Measure the harm of a hostile client: others' latency, and memory.

Latency is a ratio in one run: beside the hostile client, to that beside an ordinary one that is as
busy as it can be on as many connections. Both take a processor, and turns of the server, away from
whoever measures.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.attack.clients import CLIENTS, PASSWORD

GROWTH_MIB = 96
"""The most that one client may add to the memory of a server."""

RATIO = 12
"""The most by which one client may delay others."""

ORDINARY = "reads its order"

FEWEST = 20
"""Requests of the other client that must be answered meanwhile."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a client.

    The latency of others is in seconds (95 % were faster), the memory in MiB.

    `statuses` are those of the answers that the client itself read.
    """

    seconds: float
    growth_mib: int
    statuses: set[int]


@contextmanager
def client_process(name: str, url: str, token: str, connections: int = 1) -> Iterator[set[int]]:
    """Run a client in a process of its own.

    The set has its answers once it has ended.
    """
    statuses: set[int] = set()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.attack.clients", name, str(connections), url, token],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield statuses
        assert process.poll() is None, f"the client that {name} has ended"
        process.terminate()
        written, _ = process.communicate(timeout=60)
        statuses.update(map(int, json.loads(written)))
    finally:
        process.kill()
        process.wait()


def sign_in_user1(url: str, username: str) -> str:
    """Sign in, and return the access token."""
    form = {"username": username, "password": PASSWORD}
    answer = httpx2.post(f"{url}/login", data=form, timeout=60)
    token: str = answer.json()["access_token"]
    return token


def measure_ratio(
    name: str, url: str, pid: int, tokens: tuple[str, str], *, seconds: float
) -> tuple[float, Effect]:
    """Measure the latency beside a hostile client, and beside an ordinary one."""
    connections = CLIENTS[name].connections
    usual = measure_effect(ORDINARY, url, pid, tokens, seconds=seconds, connections=connections)
    effect = measure_effect(name, url, pid, tokens, seconds=seconds)
    return effect.seconds / usual.seconds, effect


def measure_effect(
    name: str,
    url: str,
    pid: int,
    tokens: tuple[str, str],
    *,
    seconds: float,
    connections: int = 1,
) -> Effect:
    """Measure another client's reads while the client `name` runs for `seconds`."""
    attacker, other = tokens
    before, most = resident_mib(pid), 0
    with (
        client_process(name, url, attacker, connections) as statuses,
        httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {other}"}) as client,
    ):
        _wait_for_load(client)
        latencies: list[float] = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or len(latencies) < FEWEST:
            started = time.perf_counter()
            assert client.get("/orders/2", timeout=60).status_code == 200
            latencies.append(time.perf_counter() - started)
            most = max(most, resident_mib(pid))
    latencies.sort()
    return Effect(latencies[int(len(latencies) * 0.95)], most - before, statuses)


def _wait_for_load(client: httpx2.Client) -> None:
    """Wait until the client's process has started, by importing what it needs."""
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        client.get("/livez", timeout=60)


def resident_mib(pid: int) -> int:
    """Return the memory of a process in MiB; 0 without /proc."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    line = next(each for each in status.read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) // 1024
