"""Real parts: the command, and a server it starts."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.program.captured_output import OUTPUT
from tests.support.program.command import (
    CHEAP,
    PASSWORD,
    PATIENT,
    SECONDS,
    clean_environment,
    ordergate,
)

LISTENING = re.compile(
    r'(?:"url": "|running on )(https?://(?:127\.0\.0\.1|0\.0\.0\.0):\d+|unix:[^"]+)'
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests whose fixtures start a server."""
    for item in items:
        if {"served", "start"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.process)


PROGRAM: tuple[str, ...] = ("-m", "ordergate.entrypoints")
"""What Python runs to start the service."""

Start = Callable[..., "Server"]


@dataclass
class Server:
    """A server of our command or another, mostly on a free port."""

    process: subprocess.Popen[str]
    url: str = ""
    output: list[str] = field(default_factory=list)
    _listening: threading.Event = field(default_factory=threading.Event)
    _reader: threading.Thread | None = None

    @classmethod
    def start(
        cls,
        *arguments: object,
        cwd: Path,
        module: str = "",
        prefix: tuple[str, ...] = (),
        new_session: bool = True,
        port: int = 0,
        pass_fds: tuple[int, ...] = (),
        **settings: object,
    ) -> "Server":
        """Start it in a session or a process group of its own.

        Linux shares the processors out evenly between sessions (sched(7), autogroup). Priorities of
        a server count against other programs of its session only.
        """
        program = ("-m", module) if module else PROGRAM
        address = () if "--uds" in arguments else ("--port", str(port))
        server = cls(
            subprocess.Popen(
                [*prefix, sys.executable, *program, *map(str, arguments), *address],
                cwd=cwd,
                env=clean_environment(**settings),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=new_session,
                process_group=None if new_session else 0,
                pass_fds=pass_fds,
            )
        )
        server._reader = threading.Thread(target=server._read, daemon=True)
        server._reader.start()
        server._listening.wait(SECONDS)
        if not server.url:
            server.stop()
            raise RuntimeError("".join(server.output))
        if "--workers" in arguments and server.url.startswith(
            "http://"
        ):  # they start after the line, for longer than a client waits
            httpx2.get(f"{server.url}/livez", timeout=SECONDS)
        return server

    def _read(self) -> None:
        """Keep the server's output; connections queue from the line of readiness."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            OUTPUT.add(line)
            # Later lines may name the addresses of other servers.
            if not self.url and (found := LISTENING.search(line)):
                self.url = found[1]
            if self.url:
                self._listening.set()
        self._listening.set()
        self.process.stdout.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask the server to end, and return its exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        status = self.process.wait(SECONDS)
        if self._reader is not None:
            self._reader.join(SECONDS)
        return status


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts servers and stops them after the test."""
    with ExitStack() as servers:

        def started(*arguments: object, **options: Any) -> Server:
            server = Server.start(*arguments, **options)
            servers.callback(server.stop)
            return server

        yield started


@pytest.fixture
def home(seeded: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder of the module's fixture `seeded`."""
    shutil.copytree(seeded, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve_orders(tmp_path_factory.mktemp("served")) as server:
        yield server


@contextmanager
def serve_orders(folder: Path) -> Iterator[Server]:
    """Serve 3 users and 30 orders from SQLite, with real keys.

    The hashes are real and cheap.
    """
    cheap: dict[str, Any] = {
        **CHEAP,
        "LOG_FORMAT": "json",
        "CORS_ORIGINS": "https://shop.example",
        **PATIENT,
    }
    for arguments in (["migrate"], ["seed", "--users", 3, "--orders", 30]):
        done = ordergate(*arguments, cwd=folder, PASSWORD=PASSWORD, **cheap)
        assert done.returncode == 0, done.stderr
    server = Server.start("serve", cwd=folder, **cheap)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def serve_demo(folder: Path, **settings: Any) -> Iterator[Server]:
    """Serve the demo, whose issuer is its own address, with cheap hashes."""
    server = Server.start("demo", cwd=folder, **{**CHEAP, **settings})
    try:
        yield server
    finally:
        server.stop()


def send_raw(server: Server, *pieces: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send raw bytes; return the answer's status, headers and body."""
    host, port = server.url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except ConnectionError:
            pass  # it was refused before everything was said
        while True:
            try:
                data = connection.recv(65_536)
            except ConnectionResetError:
                break
            if not data:
                break
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    return int(status.split(" ")[1]), headers, body
