"""No server stops for a full or closed log."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import httpx2
import pytest

from ordergate.entrypoints.config.log_buffer import FLUSH_SECONDS, MAX_CHARACTERS, BufferedHandler
from tests.support.program.command import SECONDS, clean_environment, ordergate, wait_until

URL = re.compile(r'"url": "http://127\.0\.0\.1:(\d+)"')
REFUSED = 12_000
"""The lines of these requests exceed a pipe and the buffers of two workers."""

UNWRITABLE = ["2>&-", *(["2>/dev/full"] if Path("/dev/full").exists() else [])]


class Lines:
    """A pipe and a handler that writes to it."""

    def __init__(self, folder: Path) -> None:
        read, write = os.pipe()
        self.reader = os.fdopen(read, encoding="utf-8")
        self.stream = os.fdopen(write, "w", encoding="utf-8")
        self.folder = folder
        self.handler = BufferedHandler(self.stream)

    def log(self, message: str) -> None:
        self.handler.handle(logging.makeLogRecord({"msg": message}))


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Lines]:
    lines = Lines(tmp_path)
    yield lines
    lines.reader.close()
    lines.handler.flush()
    lines.handler.close()
    lines.stream.close()


def read_to(reader: IO[str], last: str) -> list[str]:
    read = []
    for line in reader:
        read.append(line.rstrip("\n"))
        if line.startswith(last):
            break
    return read


def test_lines_are_written_in_their_order(lines: Lines) -> None:
    messages = [f"line {number} ü" for number in range(2_000)]
    reader = threading.Thread(target=lambda: read.extend(read_to(lines.reader, "line 1999")))
    read: list[str] = []
    reader.start()
    for message in messages:
        lines.log(message)
    reader.join(SECONDS)
    assert read == messages


def test_dropped_lines_are_counted_at_their_position(lines: Lines) -> None:
    line = "x" * 1_000
    sent = 2 * MAX_CHARACTERS // len(line)
    for _ in range(sent):
        lines.log(line)
    lines.handler.acquire()
    lines.handler.release()
    kept = read_to(lines.reader, "log_lines_dropped")
    lines.log("the last")
    assert kept[:-1] == [line] * (len(kept) - 1)
    assert MAX_CHARACTERS <= len(line) * len(kept) <= 1.2 * MAX_CHARACTERS
    assert read_to(lines.reader, "the last") == ["the last"]


def test_flush_waits_for_a_second_at_most(lines: Lines) -> None:
    for _ in range(200):
        lines.log("x" * 1_000)
    began = time.monotonic()
    lines.handler.flush()
    assert FLUSH_SECONDS <= time.monotonic() - began < FLUSH_SECONDS + SECONDS / 2


def test_lines_of_a_non_blocking_pipe_are_all_written(lines: Lines) -> None:
    os.set_blocking(lines.stream.fileno(), False)
    messages = [f"{number} {'x' * 3_000}" for number in range(200)]
    for message in messages:
        lines.log(message)
    assert read_to(lines.reader, "199 ") == messages


def test_line_that_cannot_be_formatted_is_counted(lines: Lines) -> None:
    lines.handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    lines.log("the next")
    lines.handler.flush()
    assert read_to(lines.reader, "the next") == ["log_lines_dropped", "the next"]


def test_forked_process_starts_its_own_log_thread(lines: Lines) -> None:
    lines.log("parent")
    lines.handler.flush()
    child = os.fork()
    if child == 0:
        lines.log("child")
        lines.handler.flush()
        os._exit(0)
    os.waitpid(child, 0)
    assert read_to(lines.reader, "child") == ["parent", "child"]


class Blocked:
    """A server whose standard error is not read after its first line."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        assert ordergate("migrate", cwd=folder).returncode == 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ordergate.entrypoints", "serve", "--port", "0", *arguments],
            cwd=folder,
            env=clean_environment(LOG_FORMAT="json"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.log = cast("IO[str]", self.process.stderr)
        self.read: list[dict[str, Any]] = []
        found = None
        while not found:
            found = URL.search(self.log.readline())
        self.port = int(found[1])

    def refuse(self) -> None:
        """Send what is not HTTP, which is a line of the log."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as connection:
            connection.sendall(b"GARBAGE\r\n\r\n")
            while connection.recv(4_096):
                pass

    def drain(self) -> None:
        self.read.extend(json.loads(line) for line in self.log)

    def count(self) -> tuple[int, int]:
        """Return how many lines were read, and how many were dropped."""
        read = list(self.read)
        dropped = [each["lines"] for each in read if each["event"] == "log_lines_dropped"]
        return sum(each["event"] == "request_refused" for each in read), sum(dropped)

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)
        self.log.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_server_answers_and_counts_dropped_lines_when_its_log_is_not_read(
    tmp_path: Path, workers: str
) -> None:
    server = Blocked(tmp_path, "--workers", workers)
    try:
        for _ in range(REFUSED * int(workers)):
            server.refuse()
        assert httpx2.get(f"http://127.0.0.1:{server.port}/readyz").status_code == 200
        reader = threading.Thread(target=server.drain, daemon=True)
        reader.start()
        wait_until(lambda: sum(server.count()) == REFUSED * int(workers))
        _, dropped = server.count()
        assert dropped > 0
        os.killpg(server.process.pid, signal.SIGTERM)
        assert server.process.wait(SECONDS) == 0
        reader.join(SECONDS)
        assert server.read[-1]["event"].startswith(("Finished server", "Stopping parent"))
    finally:
        server.end()


def test_sigterm_ends_a_server_when_its_log_is_not_read(tmp_path: Path) -> None:
    server = Blocked(tmp_path, "--workers", "2")
    try:
        for _ in range(1_000):
            server.refuse()
        os.killpg(server.process.pid, signal.SIGTERM)
        assert server.process.wait(SECONDS) == 0
    finally:
        server.end()


@pytest.mark.parametrize("redirected", UNWRITABLE)
def test_server_answers_when_its_log_cannot_be_written(tmp_path: Path, redirected: str) -> None:
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            "/bin/sh",
            "-c",
            f'exec "$0" -m ordergate.entrypoints serve --port {port} {redirected}',
            sys.executable,
        ],
        cwd=tmp_path,
        env=clean_environment(),
    )

    def answers() -> bool:
        assert process.poll() is None
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/livez").status_code == 200
        except httpx2.TransportError:
            return False

    try:
        wait_until(answers)
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            connection.sendall(b"GARBAGE\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
        assert answers()
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
