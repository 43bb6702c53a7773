"""Metrics of real servers, as Prometheus reads them."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from ordergate.adapters.audit.log_audit import LogAudit
from ordergate.adapters.metrics.exporter import serve_metrics
from ordergate.adapters.metrics.worker_files import FOLDER, make_folder
from ordergate.adapters.passwords.bcrypt_password_hasher import BcryptPasswordHasher
from ordergate.entrypoints import asgi
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from ordergate.entrypoints.factories.observability.metrics import Measurement, measure
from ordergate.testing import make_container
from tests.support.program.command import (
    CHEAP,
    PASSWORD,
    SECONDS,
    ordergate,
    seed_folder,
    wait_until,
)
from tests.support.program.metrics import find_url, parse, scrape
from tests.support.program.server import Server, Start

ON = {**CHEAP, "METRICS_PORT": 0, "LOG_FORMAT": "json"}


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seed_folder(tmp_path_factory.mktemp("seeded"), orders=4)


def sign_in(server: Server, password: str = PASSWORD) -> httpx2.Response:
    form = {"username": "user1", "password": password}
    return httpx2.post(f"{server.url}/login", data=form, timeout=SECONDS)


def live(server: Server) -> None:
    """Send a request on a new connection, which any worker may take."""
    assert httpx2.get(f"{server.url}/livez", timeout=SECONDS).status_code == 200


def test_metrics_of_a_server_count_what_it_did(seeded: Path, temporary: Path, start: Start) -> None:
    server = start("serve", cwd=seeded, **ON, HASHING_THREADS=3, HASHING_QUEUE=5)
    token = sign_in(server).json()["access_token"]
    assert sign_in(server, "a wrong password").status_code == 400
    bearer = {"Authorization": f"Bearer {token}"}
    for path, status in (("/orders/1", 200), ("/orders/2", 404), ("/no/such/path", 404)):
        answer = httpx2.get(server.url + path, headers=bearer, timeout=SECONDS)
        assert answer.status_code == status
    assert httpx2.get(f"{server.url}/metrics", timeout=SECONDS).status_code == 404
    wait_until(lambda: sum(scrape(server).get("http_requests_total", {}).values()) == 6)
    wait_until(lambda: "session_cache_age_seconds" in scrape(server))
    samples = scrape(server)
    assert samples["http_requests_total"] == {
        "method=POST,route=/login,status=200": 1,
        "method=POST,route=/login,status=400": 1,
        "method=GET,route=/orders/{id},status=200": 1,
        "method=GET,route=/orders/{id},status=404": 1,
        "method=GET,route=unmatched,status=404": 2,
    }
    assert samples["http_request_duration_seconds_count"] == {
        "method=POST,route=/login": 2,
        "method=GET,route=/orders/{id}": 2,
        "method=GET,route=unmatched": 2,
    }
    events = {name: value for name, value in samples["audit_events_total"].items() if value}
    assert events == {"event=signed_in": 1, "event=sign_in_refused": 1}
    assert samples["hashing_duration_seconds_count"] == {"": 2}
    assert (samples["hashing_threads"], samples["hashing_queue_limit"]) == ({"": 3}, {"": 5})
    assert samples["database_group_commit_writes_sum"] == {"": 1}
    assert samples["database_group_commit_waiting"] == {"": 0}
    assert 0 <= samples["session_cache_age_seconds"][""] < SECONDS
    assert samples["workers"] == samples["workers_configured"] == {"": 1}
    (build,) = samples["build_info"]
    assert re.fullmatch(r"python=3\.\d+\.\d+\S*,version=\d+\.\d+\.\d+", build)
    address, _, port = find_url(server).rpartition(":")
    assert address == "http://127.0.0.1"
    refused = ordergate("serve", "--port", 0, cwd=seeded, **{**ON, "METRICS_PORT": port})
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        f"ordergate: cannot serve metrics on 127.0.0.1 port {port}: Address already in use; choose"
        " another address with ORDERGATE_METRICS_HOST or ORDERGATE_METRICS_PORT"
    )
    assert server.stop() == 0
    assert [*temporary.iterdir()] == []


def test_metrics_of_two_workers_are_added_up_and_survive_them(
    seeded: Path, temporary: Path, start: Start
) -> None:
    server = start("serve", "--workers", 2, cwd=seeded, **ON, HASHING_THREADS=3)

    def workers() -> list[int]:
        found = (re.search(r"Started server process \[(\d+)]", line) for line in server.output)
        return [int(pid[1]) for pid in found if pid]

    def count() -> float:
        counted = scrape(server).get("http_requests_total", {})
        return counted.get("method=GET,route=/livez,status=200", 0)

    def ready() -> bool:
        return scrape(server).get("hashing_threads") == {"": 6}

    wait_until(ready)
    (folder,) = temporary.iterdir()
    for _ in range(9):  # the start of the server is the tenth
        live(server)
    wait_until(lambda: count() == 10)
    files = sorted(path.name for path in folder.iterdir())
    os.kill(workers()[0], signal.SIGKILL)
    wait_until(lambda: len(workers()) == 3)
    wait_until(ready)
    for _ in range(10):
        live(server)
    wait_until(lambda: count() == 20)
    assert scrape(server)["workers"] == {"": 2}
    # The new worker goes on with the files of the killed one.
    assert sorted(path.name for path in folder.iterdir()) == files


WORKER = """
import sys
from pathlib import Path
from ordergate.adapters.metrics.instruments import Instruments
from ordergate.application.ports.passwords import HashingLoad
from ordergate.application.ports.storage import ServerWork
instruments = Instruments.in_folder(Path(sys.argv[1]))
instruments.loads.set_hashing(HashingLoad(threads=1, busy=1, queue=1, waiting=1))
instruments.loads.set_work(ServerWork(round_trips=5, repetitions=0))
instruments.loads.set_session_cache(float(sys.argv[2]))
instruments.count_request("GET", "/", 200, 0.1)
instruments.publish_requests()
print("ready", flush=True)
sys.stdin.read()
"""
"""A process that counts one request."""


def test_states_of_an_ended_worker_are_left_out_and_its_totals_stay(temporary: Path) -> None:
    with ExitStack() as closing:

        def begin(*, age: int) -> subprocess.Popen[str]:
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER, folder, str(age)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            closing.enter_context(worker)
            closing.callback(worker.kill)
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            return worker

        def read() -> list[float]:
            samples = parse(httpx2.get(f"{url}/metrics", timeout=SECONDS).text)
            names = ("workers", "hashing_threads", "session_cache_age_seconds")
            requests = samples["http_requests_total"]["method=GET,route=/,status=200"]
            trips = samples["database_round_trips_total"][""]
            return [*(samples[name][""] for name in names), requests, trips]

        folder = closing.enter_context(make_folder())
        url = closing.enter_context(serve_metrics(folder, "127.0.0.1", 0, workers=2))
        first, _second = begin(age=8), begin(age=3)
        files = sorted(path.name for path in folder.iterdir())
        assert read() == [2, 2, 8, 2, 10]
        first.kill()
        first.wait(SECONDS)
        assert read() == [1, 1, 3, 2, 10]
        begin(age=5)
        assert read() == [2, 2, 5, 3, 15]
        assert sorted(path.name for path in folder.iterdir()) == files


@pytest.fixture
def exporter(temporary: Path) -> Iterator[str]:
    """Serve metrics without a worker; return the address."""
    with make_folder() as folder, serve_metrics(folder, "127.0.0.1", 0, workers=1) as url:
        yield url


def test_port_of_metrics_serves_nothing_else_and_does_not_name_its_software(exporter: str) -> None:
    with httpx2.Client(base_url=exporter, timeout=SECONDS) as client:
        answers = [
            client.get("/metrics"),
            client.get("/metrics?at=1"),
            client.get("/"),
            client.get("/metrics/"),
            client.get("/favicon.ico"),
            client.post("/metrics"),
        ]
    assert [each.status_code for each in answers] == [200, 200, 404, 404, 404, 501]
    assert [each.headers.get("server") for each in answers] == [None] * 6
    assert parse(answers[1].text)["workers"] == {"": 0}
    assert answers[2].text == "Not Found\n"
    assert answers[2].headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_metrics_are_served_at_each_kind_of_address(temporary: Path, host: str) -> None:
    with make_folder() as folder, serve_metrics(folder, host, 0, workers=1) as url:
        assert httpx2.get(f"{url}/metrics", timeout=SECONDS).status_code == 200
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/metrics", timeout=SECONDS)


def test_error_while_metrics_are_read_is_logged_and_does_not_end_the_server(
    exporter: str,
    temporary: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (folder,) = temporary.iterdir()
    damaged = folder / "counter_0.db"
    damaged.write_bytes(b"?" * 64)
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(f"{exporter}/metrics", timeout=SECONDS)
    damaged.unlink()
    assert httpx2.get(f"{exporter}/metrics", timeout=SECONDS).status_code == 200
    assert caplog.messages == ["unexpected_error"]
    assert capfd.readouterr().err == ""


def test_missing_package_is_a_mistake_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERGATE_METRICS_PORT", "9464")
    assert load_checked_settings().metrics_port == 9464
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(SettingsError) as refused:
        load_checked_settings()
    assert refused.value.problems == [
        "ORDERGATE_METRICS_PORT: needs the package prometheus-client; install ordergate[metrics]"
    ]


def test_another_server_says_that_it_has_no_metrics(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ORDERGATE_METRICS_PORT", "9464")
    asgi.create(make_container)
    assert "metrics_not_served" in caplog.messages


def test_parts_are_not_measured_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    container = Container(settings=Settings(metrics_port=None))
    assert measure(container) == Measurement()
    assert isinstance(container.audit(), LogAudit)
    assert isinstance(container.hasher(), BcryptPasswordHasher)
