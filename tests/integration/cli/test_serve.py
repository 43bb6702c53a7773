"""ordergate serve and demo."""

import re
import signal
import socket
import sqlite3
from pathlib import Path

import httpx2
import pytest

from ordergate.entrypoints.server.listening import suggest_port
from tests.support.databases.database_server import find_free_port
from tests.support.program.captured_output import run_program
from tests.support.program.command import CHEAP, PASSWORD, SECONDS, error_line, ordergate
from tests.support.program.server import Start


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("serve", "choose another with --port"),
        ("demo", "choose another: `make demo PORT={other}`, or `ordergate demo --port {other}`"),
    ],
)
def test_taken_port_error_names_the_port_option(migrated: Path, command: str, advice: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = ordergate(command, "--port", port, cwd=migrated)
    reason = f"cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert error_line(result) == f"{reason}; {advice.format(other=port + 1)}"


@pytest.mark.parametrize("host", ["a" * 300, "é..x", "nowhere.invalid"])
def test_invalid_host_is_reported(migrated: Path, host: str) -> None:
    result = ordergate("serve", "--host", host, "--port", 0, cwd=migrated)
    line = error_line(result)
    assert line.startswith(f"cannot listen on {host} port 0: ")
    assert line.endswith("; choose another with --host")


@pytest.mark.parametrize(
    ("taken", "suggested"), [(80, 8080), (443, 8443), (1024, 1025), (8000, 8001), (65535, 65534)]
)
def test_suggested_port_is_one_for_any_user(taken: int, suggested: int) -> None:
    assert suggest_port(taken) == suggested


def test_options_precede_the_settings_of_the_address(migrated: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {"LISTEN_HOST": "nowhere.invalid", "LISTEN_PORT": str(port)}
        by_settings = ordergate("serve", cwd=migrated, **settings)
        by_host = ordergate("serve", "--host", "127.0.0.1", cwd=migrated, **settings)
        by_port = ordergate("serve", "--port", "1", cwd=migrated, **settings)
    assert error_line(by_settings).startswith(f"cannot listen on nowhere.invalid port {port}: ")
    assert error_line(by_host).startswith(f"cannot listen on 127.0.0.1 port {port}: ")
    assert error_line(by_port).startswith("cannot listen on nowhere.invalid port 1: ")


def test_port_of_the_metrics_must_differ(migrated: Path) -> None:
    port = find_free_port()
    done = ordergate("serve", "--port", port, cwd=migrated, METRICS_PORT=port)
    assert error_line(done).startswith(f"ORDERGATE_METRICS_PORT is {port}, which is the port of")


@pytest.mark.parametrize("workers", [1, 2])
def test_several_workers_on_a_faulty_sqlite_are_logged(migrated: Path, workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ordergate("serve", "--port", port, "--workers", workers, cwd=migrated)
    is_faulty = sqlite3.sqlite_version_info < (3, 51, 3) and sqlite3.sqlite_version != "3.50.7"
    assert ("several_workers_risk_data" in done.stderr) is (workers > 1 and is_faulty)


def test_foreign_host_is_reported(migrated: Path) -> None:
    result = ordergate("serve", "--host", "192.0.2.1", "--port", 0, cwd=migrated)
    assert error_line(result).startswith("cannot listen on 192.0.2.1 port 0: ")


def test_demo_migrates_seeds_and_prints_the_next_commands(tmp_path: Path, start: Start) -> None:
    for _ in range(2):  # the second time on what the first one made
        server = start("demo", cwd=tmp_path, DATABASE_URL="sqlite:///real.db")
        text = "".join(server.output)
        assert server.url in text
        sign_in = httpx2.post(
            f"{server.url}/login", data={"username": "user1", "password": "ordergate-demo"}
        )
        headers = {"Authorization": f"Bearer {sign_in.json()['access_token']}"}
        assert httpx2.get(f"{server.url}/order?id=1", headers=headers).status_code == 200
        assert httpx2.get(f"{server.url}/order?id=2", headers=headers).status_code == 404
        assert f"{server.url}/docs" in text
        assert "ignores ORDERGATE_DATABASE_URL." in text
        server.stop(signal.SIGINT)
    assert [path.name for path in tmp_path.iterdir()] == [".ordergate"]
    assert [path.name for path in (tmp_path / ".ordergate").iterdir()] == ["demo"]


def test_curl_lines_of_the_demo_work_unchanged(tmp_path: Path, start: Start) -> None:
    server = start("demo", cwd=tmp_path)
    lines = "".join(server.output)
    sign_in = re.search(r"TOKEN=.*?\n.*?\n", lines)
    requests = re.findall(r"curl -i (?:.*\\\n)*.*", lines)
    assert sign_in
    assert len(requests) == 3
    shell = run_program(
        ["bash", "-c", "\n".join([sign_in[0], *requests])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.findall(r"HTTP/1.1 (\d+)", shell.stdout) == ["200", "404", "201"]


def test_several_workers_share_one_port_and_one_key(migrated: Path, start: Start) -> None:
    assert (
        ordergate("users", "add", "alice", cwd=migrated, PASSWORD=PASSWORD, **CHEAP).returncode == 0
    )
    server = start("serve", cwd=migrated, WORKERS=2, LOG_FORMAT="json", **CHEAP)
    assert '"workers": 2' in "".join(server.output)
    form = {"username": "alice", "password": PASSWORD}
    for _ in range(10):
        with httpx2.Client(base_url=server.url, timeout=SECONDS) as fresh:
            token = fresh.post("/login", data=form).json()["access_token"]
        with httpx2.Client(base_url=server.url, timeout=SECONDS) as fresh:
            read = fresh.get("/order?id=1", headers={"Authorization": f"Bearer {token}"})
            assert read.status_code == 404
