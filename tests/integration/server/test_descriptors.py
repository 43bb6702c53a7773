"""A server without free file descriptors."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.program.command import PASSWORD, SECONDS, on_linux, ordergate, wait_until
from tests.support.program.server import Server, Start

SETTINGS = {"BCRYPT_COST": 4, "LOG_FORMAT": "json", "PASSWORD": PASSWORD}
UNCOMMON = "violet kettles hum at dusk 8"
WITH_200 = ("/bin/sh", "-c", 'ulimit -n 200; exec "$0" "$@"')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for command in (["migrate"], ["seed", "--users", 1, "--orders", 1]):
        done = ordergate(*command, cwd=tmp_path, **SETTINGS)
        assert done.returncode == 0, done.stderr
    return tmp_path


@contextmanager
def connections(server: Server, number: int) -> Iterator[list[socket.socket]]:
    host, port = server.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=SECONDS))
            for _ in range(number)
        ]


def sign_in(client: httpx2.Client) -> httpx2.Response:
    return client.post("/login", data={"username": "user1", "password": PASSWORD})


def test_clients_that_hold_many_connections_leave_descriptors_to_the_server(
    folder: Path, start: Start
) -> None:
    server = start("serve", cwd=folder, prefix=WITH_200, **SETTINGS)
    with httpx2.Client(base_url=server.url, timeout=SECONDS) as client:
        assert client.get("/livez").status_code == 200
        with connections(server, 300) as held:
            assert held[-1].recv(1) == b""  # it was closed
            token = sign_in(client).json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            assert client.get("/orders", headers=headers).status_code == 200
            assert client.get("/readyz").status_code == 200
            signed_up = client.post("/users", json={"username": "zoe", "password": UNCOMMON})
            assert signed_up.status_code == 201

    def answers() -> bool:
        try:
            return httpx2.get(f"{server.url}/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    wait_until(answers)
    assert "unexpected_error" not in "".join(server.output)


@on_linux
def test_requests_are_not_500_when_the_process_has_no_descriptors(
    folder: Path, start: Start
) -> None:
    server = start("serve", cwd=folder, **SETTINGS)

    def limit(number: int) -> None:
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (number, hard))

    with httpx2.Client(base_url=server.url, timeout=SECONDS) as client:
        assert client.get("/livez").status_code == 200
        limit(len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())))
        assert sign_in(client).status_code in {200, 503}
        signed_up = client.post("/users", json={"username": "zoe", "password": UNCOMMON})
        assert signed_up.status_code == 503  # it loads a list of passwords
        for path in ("/readyz", "/docs", "/openapi.json", "/.well-known/jwks.json"):
            assert client.get(path).status_code in {200, 503}, path
        assert client.get("/livez").status_code == 200
        limit(1_000)
        assert sign_in(client).status_code == 200
        signed_up = client.post("/users", json={"username": "zoe", "password": UNCOMMON})
        assert signed_up.status_code == 201
