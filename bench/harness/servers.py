"""Contestants as real servers."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bench.apps.sample import PASSWORD
from bench.harness.contestants import ROOT, Contestant, Home
from bench.harness.load import Failed, Request, on_cores

PATIENCE = 60
"""The time limit for a server's first answer and for its end, in seconds."""
_SECONDS = 10
"""The time limit of an answer."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its address, and a token of user1."""

    contestant: Contestant
    url: str
    token: str
    pid: int

    def ask(self, request: Request) -> bytes:
        """Send one request. Raises `Failed` without the expected answer."""
        asked = f"{self.contestant.what}: {request.method} {request.path}"
        try:
            status, body = _ask(self.url, request)
        except OSError as error:
            raise Failed(f"{asked} was not answered: {error}") from None
        text = body.decode(errors="replace")
        if status != request.status or text.count(request.says) != request.times:
            raise Failed(
                f"{asked} was answered {status}: {text[:300]}; it must be {request.status}"
                f" and say {request.says!r} {request.times} times"
            )
        return body


def _ask(url: str, request: Request) -> tuple[int, bytes]:
    asked = urllib.request.Request(  # noqa: S310 - the server that was started here
        url + request.path,
        data=request.body.encode() or None,
        headers=request.headers,
        method=request.method,
    )
    try:
        with urllib.request.urlopen(asked, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def sign_in(contestant: Contestant, number: int = 1) -> Request:
    username = contestant.username.format(number=number)
    form = urllib.parse.urlencode({"username": username, "password": PASSWORD})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request("/login", method="POST", headers=headers, body=form, says="access_token")


@contextmanager
def started(
    contestant: Contestant, home: Home, cores: Sequence[int], *, workers: int = 1
) -> Iterator[tuple[str, int]]:
    """Start a server and yield its address and process; end it afterwards.

    Its output goes to `server.log` in its folder. Raises `Failed` when it does not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", home.folder / "server.log"
    with log.open("w") as written:
        process = subprocess.Popen(  # noqa: S603 - a contestant
            [
                *on_cores(cores),
                contestant.python,
                *(part.format(port=port, workers=workers) for part in contestant.serve),
            ],
            cwd=ROOT,
            env=contestant.environment_in(home),
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{contestant.what} did not start: {log.read_text()[-600:]}")
            time.sleep(0.005)
        yield url, process.pid
    finally:
        _end(process)


def _answers(url: str) -> bool:
    try:
        _ask(url, Request("/order?id=1"))
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and all its workers."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def serving(
    contestant: Contestant, home: Home, cores: Sequence[int], *, workers: int = 1
) -> Iterator[Served]:
    """Serve prepared data on these cores, with user1 signed in. Raises `Failed`."""
    with started(contestant, home, cores, workers=workers) as (url, pid):
        served = Served(contestant, url, "", pid)
        if contestant.username:
            token = json.loads(served.ask(sign_in(contestant)))["access_token"]
            served = replace(served, token=token)
        yield served
