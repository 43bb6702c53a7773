"""Unix sockets, and the socket and the messages of systemd."""

import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from ordergate.entrypoints.server.listening import CannotListen, listen_on_path
from tests.support.program.command import (
    CHEAP,
    PASSWORD,
    SECONDS,
    error_line,
    on_linux,
    ordergate,
    seed_folder,
    wait_until,
)
from tests.support.program.server import Start
from tests.support.proxies.reverse_proxies import run_nginx

OPERATIONS = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
[NGINX] = re.findall(r"^```nginx\n(server \{.*?)^```", OPERATIONS, re.DOTALL | re.MULTILINE)
FORGED = {"X-Forwarded-For": "203.0.113.66"}
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seed_folder(tmp_path_factory.mktemp("seeded"), orders=3)


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a path that is short enough for a socket."""
    return tmp_path_factory.mktemp("s") / "o.sock"


def connect(path: Path) -> httpx2.Client:
    transport = httpx2.HTTPTransport(uds=str(path))
    return httpx2.Client(transport=transport, base_url="http://localhost", timeout=SECONDS)


def resolve_address(client: httpx2.Client) -> str:
    """Sign in with a forged address; return the address of the session."""
    form = {"username": "user1", "password": PASSWORD}
    token = client.post("/login", data=form, headers=FORGED).json()["access_token"]
    sessions = client.get("/sessions", headers={"Authorization": f"Bearer {token}"}).json()
    [current] = [session for session in sessions if session["current"]]
    return str(current["address"])


def test_server_replaces_a_stale_socket_and_no_other_file(
    seeded: Path, path: Path, start: Start
) -> None:
    path.write_text("a file")
    refused = ordergate("serve", "--uds", path, cwd=seeded)
    assert error_line(refused) == f"cannot listen on {path}: it exists and is not a socket"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    server = start("serve", "--uds", path, cwd=seeded, **CHEAP)
    assert server.url == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with connect(path) as client:
        assert client.get("/readyz").status_code == 200
        assert resolve_address(client) == ""
    healthy = ordergate("health", cwd=seeded, LISTEN_UDS=path)
    assert healthy.returncode == 0, healthy.stderr
    in_use = ordergate("serve", cwd=seeded, LISTEN_UDS=path)
    assert error_line(in_use).startswith(f"cannot listen on {path}: another server does")
    assert server.stop() == 0
    assert not path.exists()
    gone = error_line(ordergate("health", cwd=seeded, LISTEN_UDS=path))
    assert gone == (
        f"{path} does not answer: No such file or directory; start the server, or set"
        " ORDERGATE_LISTEN_UDS"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere/s", "there is no folder {folder}/nowhere; make it, or choose another with --uds"),
        ("file/s", "Not a directory; choose another with --uds"),
        ("x" * 200, "AF_UNIX path too long; choose another with --uds"),
    ],
)
def test_path_where_no_socket_can_be_made_is_reported(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / name
    expected = f"cannot listen on {path}: {reason.format(folder=tmp_path)}"
    with pytest.raises(CannotListen, match=f"^{re.escape(expected)}$"), listen_on_path(path):
        pass


def test_address_behind_a_proxy_on_the_socket_is_that_of_the_client(
    seeded: Path, path: Path, tmp_path: Path, start: Start
) -> None:
    start("serve", "--uds", path, "--workers", 2, cwd=seeded, TRUSTED_PROXIES="unix", **CHEAP)
    with connect(path) as client:
        assert resolve_address(client) == FORGED["X-Forwarded-For"]
    documented = "unix:/run/ordergate/ordergate.sock"
    assert documented in NGINX
    with (
        run_nginx(tmp_path, NGINX.replace(documented, f"unix:{path}")) as url,
        httpx2.Client(base_url=url, timeout=SECONDS) as client,
    ):
        assert resolve_address(client) == "127.0.0.1"


@pytest.fixture
def manager(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Receive messages as systemd does."""
    address = path.with_name("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(address))
        receiver.settimeout(SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        yield receiver


@on_linux
@pytest.mark.parametrize("workers", [1, 2])
def test_server_takes_the_socket_of_systemd_and_reports_to_it(
    seeded: Path, start: Start, manager: socket.socket, workers: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        number = passed.fileno()
        prefix = (sys.executable, "-c", AS_SYSTEMD, str(number))
        server = start(
            *("serve", "--workers", workers),
            cwd=seeded,
            prefix=prefix,
            pass_fds=(number,),
            **CHEAP,
        )
        host, port = passed.getsockname()
        assert server.url == f"http://{host}:{port}"
        assert manager.recv(100) == b"READY=1"
        assert httpx2.get(f"{server.url}/readyz", timeout=SECONDS).status_code == 200
        os.kill(server.process.pid, signal.SIGTERM)
        assert manager.recv(100) == b"STOPPING=1"
        wait_until(lambda: server.process.poll() == 0)
