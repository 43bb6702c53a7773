"""SIGTERM with `ORDERGATE_DRAIN_SECONDS`, and a restart that loses no request."""

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event
from uuid import uuid4

import httpx2
import pytest

from tests.support.api.http_client import TEA
from tests.support.databases.database_server import find_free_port
from tests.support.program.command import CHEAP, PASSWORD, SECONDS, seed_folder, wait_until
from tests.support.program.server import Server, Start
from tests.support.proxies.reverse_proxies import run_caddy, run_nginx

OPERATIONS = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
[NGINX] = re.findall(r"^```nginx\n(upstream .*?)^```", OPERATIONS, re.DOTALL | re.MULTILINE)
[CADDY] = re.findall(r"^```caddy\n(.*?)^```", OPERATIONS, re.DOTALL | re.MULTILINE)
CLIENTS = 4
ENOUGH = 50
"""Answers that show that others are served."""
FOREVER = 3_600


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seed_folder(tmp_path_factory.mktemp("seeded"), orders=9)


def count_lines(server: Server, text: str) -> int:
    return "".join(server.output).count(text)


@pytest.mark.parametrize(
    ("workers", "second"),
    [(1, signal.SIGTERM), (2, signal.SIGINT)],
    ids=["one worker", "two workers"],
)
def test_service_is_unready_and_serves_until_a_second_signal(
    seeded: Path, start: Start, workers: int, second: int
) -> None:
    settings = {**CHEAP, "DRAIN_SECONDS": FOREVER}
    server = start("serve", "--workers", workers, cwd=seeded, **settings)
    wait_until(lambda: count_lines(server, "startup complete") == workers)
    with httpx2.Client(base_url=server.url, timeout=SECONDS) as client:
        assert client.get("/readyz").status_code == 200
        os.kill(server.process.pid, signal.SIGTERM)
        wait_until(lambda: count_lines(server, "draining") == workers)
        answers = [client.get("/readyz") for _ in range(10)]
        assert {answer.status_code for answer in answers} == {503}
        assert answers[0].json()["type"] == "urn:problem-type:ordergate:shutting-down"
        assert {answer.headers["connection"] for answer in answers} == {"close"}
        login = {"username": "user1", "password": PASSWORD}
        assert client.post("/login", data=login).status_code == 200
    assert server.process.poll() is None
    assert server.stop(second) == 0
    assert count_lines(server, "request_failed") == 0


@contextmanager
def steady_load(url: str) -> Iterator[Counter[int]]:
    """Read and place orders without a pause, and count statuses.

    A failed connection has the status 0.
    """
    answers: Counter[int] = Counter()
    ended = Event()

    def work() -> None:
        with httpx2.Client(base_url=url, timeout=SECONDS) as client:
            login = client.post("/login", data={"username": "user1", "password": PASSWORD})
            client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
            for number in count():
                if ended.is_set():
                    return
                try:
                    if number % 2:
                        answer = client.get("/orders?limit=1")
                    else:
                        key = {"Idempotency-Key": uuid4().hex}
                        answer = client.post("/orders", json=TEA, headers=key)
                    answers[answer.status_code] += 1
                except httpx2.TransportError:
                    answers[0] += 1

    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(work) for _ in range(CLIENTS)]
        try:
            yield answers
        finally:
            ended.set()
        for each in running:
            each.result()


@dataclass
class Restarts:
    """Two servers of one database, which are restarted at their ports."""

    folder: Path
    start: Start
    ports: tuple[int, int] = field(default_factory=lambda: (find_free_port(), find_free_port()))
    started: list[Server] = field(default_factory=list)

    def configure(self, documented: str) -> str:
        for port, ours in zip((8001, 8002), self.ports, strict=True):
            assert documented.count(f":{port}") == 1
            documented = documented.replace(f":{port}", f":{ours}")
        return documented

    def serve(self, place: int, *, workers: int = 1, seconds: int) -> Server:
        settings = {**CHEAP, "DRAIN_SECONDS": seconds}
        port = self.ports[place]
        server = self.start("serve", "--workers", workers, cwd=self.folder, port=port, **settings)
        self.started.append(server)
        wait_until(lambda: count_lines(server, "startup complete") == workers)
        return server


@pytest.fixture
def restarts(seeded: Path, start: Start) -> Iterator[Restarts]:
    started = Restarts(seeded, start)
    yield started
    for server in started.started:
        server.stop(signal.SIGINT)  # which ends without a drain


def test_rolling_restart_behind_nginx_loses_no_request(restarts: Restarts, tmp_path: Path) -> None:
    """It passes requests on that a server refuses."""
    servers = [restarts.serve(place, seconds=1) for place in (0, 1)]
    with (
        run_nginx(tmp_path, restarts.configure(NGINX)) as url,
        steady_load(url) as answers,
    ):
        wait_until(lambda: answers.total() > ENOUGH)
        assert servers[0].stop() == 0
        wait_for_more(answers)
        restarts.serve(0, seconds=1)
        assert servers[1].stop() == 0
        wait_for_more(answers)
    assert answers.keys() == {200, 201}, answers


def test_rolling_restart_behind_caddy_loses_no_request(restarts: Restarts, tmp_path: Path) -> None:
    """It looks at `/readyz`, and passes no request on."""
    servers = [restarts.serve(place, workers=2 - place, seconds=FOREVER) for place in (0, 1)]
    with run_caddy(tmp_path, restarts.configure(CADDY)) as (url, log):

        def wait_for_health(place: int, event: str) -> None:
            host = f"127.0.0.1:{restarts.ports[place]}"
            wait_until(lambda: find_last_event(log, host) == event)

        with steady_load(url) as answers:
            wait_until(lambda: answers.total() > ENOUGH)
            servers[0].process.terminate()
            wait_for_health(0, "status code out of tolerances")
            wait_for_more(answers)
            assert servers[0].stop() == 0
            wait_for_more(answers)
            restarts.serve(0, seconds=FOREVER)
            wait_for_health(0, "host is up")
            servers[1].process.terminate()
            wait_for_health(1, "status code out of tolerances")
            assert servers[1].stop() == 0
            wait_for_more(answers)
    assert answers.keys() == {200, 201}, answers


def find_last_event(log: Path, host: str) -> str:
    """Return what Caddy has found last about the health of a host."""
    lines = map(json.loads, log.read_text().splitlines(keepends=True))
    events = [line["msg"] for line in lines if line.get("host") == host]
    return str(events[-1]) if events else ""


def wait_for_more(answers: "Counter[int]") -> None:
    before = answers.total()
    wait_until(lambda: answers.total() > before + ENOUGH)
