"""Workers that end while others serve, and workers that cannot start."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.databases.postgres import PostgresServer
from tests.support.program.captured_output import run_program
from tests.support.program.command import SECONDS, clean_environment, ordergate, wait_until
from tests.support.program.server import Server, Start


@pytest.fixture
def postgres(postgres_binaries: Path) -> Iterator[PostgresServer]:
    with PostgresServer(postgres_binaries).running() as server:
        yield server


def events(server: Server, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in list(server.output) if line.startswith("{")]
    return [line for line in lines if str(line["event"]).startswith(name)]


def started(server: Server) -> list[int]:
    """Return the process ids of all started workers, the oldest first."""
    pids = (re.search(r"\[(\d+)]", line["event"]) for line in events(server, "Started server"))
    return [int(pid[1]) for pid in pids if pid]


def ready(server: Server) -> int:
    return len(events(server, "Application startup complete"))


def status(server: Server, path: str) -> int:
    return httpx2.get(server.url + path, timeout=SECONDS).status_code


@pytest.fixture
def server(tmp_path: Path, start: Start, postgres: PostgresServer) -> Server:
    """Start two workers on PostgreSQL."""
    settings = {"DATABASE_URL": postgres.url(), "LOG_FORMAT": "json"}
    assert ordergate("migrate", cwd=tmp_path, **settings).returncode == 0
    server = start("serve", "--workers", 2, cwd=tmp_path, **settings)
    wait_until(lambda: ready(server) == 2)
    return server


def test_worker_is_restarted_when_the_database_returns(
    server: Server, postgres: PostgresServer
) -> None:
    postgres.stop()
    killed, _ = started(server)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(events(server, "worker_ended")) == 3)
    assert {status(server, "/livez") for _ in range(5)} == {200}
    assert status(server, "/readyz") == 503
    first, *others = events(server, "worker_ended")
    assert (first["pid"], first["signal"]) == (killed, "SIGKILL")
    assert [each["exit_code"] for each in others] == [3, 3]
    assert [each["restart_seconds"] for each in (first, *others)] == [0.5, 1, 2]

    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(events(server, "replacement_failed")) == 1)
    (failed,) = events(server, "replacement_failed")
    assert failed["exit_code"] == 3
    assert status(server, "/livez") == 200

    postgres.start()
    wait_until(lambda: ready(server) == 3)
    assert {status(server, "/readyz") for _ in range(20)} == {200}
    assert server.stop() == 0


def test_sigterm_ends_the_service_while_a_worker_waits_for_its_restart(
    server: Server, postgres: PostgresServer
) -> None:
    postgres.stop()
    for pid in started(server):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(events(server, "worker_ended")) >= 4)
    assert server.process.poll() is None
    assert server.stop() == 0


GATED = """
from pathlib import Path
from ordergate.entrypoints.container import Container

def make_container(settings):
    gate = Path("gate")
    if gate.exists():
        gate.read_text()  # a pipe, until the test closes it
    return Container(settings=settings)
"""
LONGER_THAN_UVICORN_WAITS = 6


def open_gate(gate: Path) -> int:
    """Open a pipe for writing as soon as a worker reads it."""
    opened: list[int] = []

    def try_to_open() -> bool:
        with suppress(OSError):  # no process reads it
            opened.append(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    wait_until(try_to_open)
    return opened[0]


def test_replacement_may_start_slowly_and_delays_no_sigterm(tmp_path: Path, start: Start) -> None:
    (tmp_path / "gated.py").write_text(GATED)
    settings = {"CONTAINER": "gated:make_container", "LOG_FORMAT": "json"}
    assert ordergate("migrate", cwd=tmp_path, **settings).returncode == 0
    server = start("serve", "--workers", 2, cwd=tmp_path, **settings)
    wait_until(lambda: ready(server) == 2)

    gate = tmp_path / "gate"
    os.mkfifo(gate)
    server.process.send_signal(signal.SIGHUP)
    first = open_gate(gate)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() > began + LONGER_THAN_UVICORN_WAITS)
    gate.unlink()
    os.mkfifo(gate)  # for the second worker alone
    os.close(first)
    second = open_gate(gate)
    assert ready(server) == 3
    assert events(server, "replacement_failed") == []
    try:
        server.process.terminate()
        assert server.process.wait(SECONDS) == 0
    finally:
        os.close(second)
    assert events(server, "replacement_failed") == []


FAILING = """
import os, signal, socket, sys
from ordergate.entrypoints.server import serving as server
from ordergate.entrypoints.server.listening import listen

def create():
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise RuntimeError("the application is broken")
    return app

def create_none():
    raise RuntimeError("there is no application")

if __name__ == "__main__":
    with listen("127.0.0.1", 0) as listening:
        has_served = server.serve(sys.argv[1], listening, database="none", workers=3)
    sys.exit(0 if has_served else 7)
"""


@pytest.mark.parametrize("factory", ["create_none", "missing"])
def test_service_ends_when_every_worker_fails_to_start(tmp_path: Path, factory: str) -> None:
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    done = run_program(
        [sys.executable, script, f"failing:{factory}"],
        cwd=tmp_path,
        env=clean_environment() | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=SECONDS * 2,
    )
    assert done.returncode == 7, done.stderr
    assert "no worker could start" in done.stderr
    assert done.stderr.count("worker_ended") == 3
