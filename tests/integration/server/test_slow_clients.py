"""Clients that send slowly, take no answers, or hold many connections."""

import json
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.program.command import CHEAP, SECONDS, on_linux, ordergate, wait_until
from tests.support.program.server import Server, Start

_, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
MOST = 4_096 if HARD == resource.RLIM_INFINITY else min(HARD, 4_096)
MANY = min(500, (MOST - 224) // 2)  # 224 descriptors of the server and of pytest are free
GROWTH_KIB = 65_536
HEAD = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n\r\nusername="
PAGES = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    return tmp_path


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Allow this process as many open sockets as the system allows."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, HARD))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@contextmanager
def connections(server: Server, number: int, source: str = "") -> Iterator[list[socket.socket]]:
    host, port = server.url.removeprefix("http://").split(":")
    address, local = (host, int(port)), (source, 0) if source else None
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(address, SECONDS, local))
            for _ in range(number)
        ]


def measure_memory(server: Server) -> int:
    """Return the resident memory in KiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def is_served(server: Server) -> bool:
    return httpx2.get(f"{server.url}/readyz", timeout=SECONDS).status_code == 200


@on_linux
@pytest.mark.usefixtures("descriptors")
def test_slow_clients_are_ended_while_others_are_served(folder: Path, start: Start) -> None:
    times = {"HEAD_SECONDS": 5, "BODY_SECONDS": 5, "ANSWER_SECONDS": 5}
    limit = {"CONNECTIONS_PER_ADDRESS": 3 * MANY}
    server = start("serve", cwd=folder, **CHEAP, **times, **limit)
    assert is_served(server)
    before = measure_memory(server)
    with (
        connections(server, MANY) as idle,
        connections(server, MANY) as trickling,
        connections(server, 1) as [sending],
        connections(server, 1) as [deaf],
    ):
        for client in trickling:
            client.sendall(b"G")
        sending.sendall(HEAD + FORM)
        deaf.sendall(PAGES)
        assert is_served(server)
        assert measure_memory(server) - before < GROWTH_KIB
        reset = select.poll()
        reset.register(deaf, 0)  # an error is reported without reading
        assert reset.poll(SECONDS * 1_000)
        answer = sending.makefile("rb").read().decode()
        assert answer.startswith("HTTP/1.1 408")
        problem = json.loads(answer.partition("\r\n\r\n")[2])
        assert problem["type"] == "urn:problem-type:ordergate:body-too-slow"
        assert {client.recv(1) for client in (*idle, *trickling)} == {b""}
    assert is_served(server)


@on_linux
def test_connections_of_a_worker_and_of_an_address_are_limited(folder: Path, start: Start) -> None:
    limits = {"CONNECTIONS": 12, "CONNECTIONS_PER_ADDRESS": 5, "TRUSTED_PROXIES": "127.0.0.3"}
    server = start("serve", cwd=folder, LOG_FORMAT="json", **CHEAP, **limits)
    with connections(server, 6, "127.0.0.2") as client:
        assert client[-1].recv(1) == b""
        assert is_served(server)  # at another address
        wait_until(lambda: '"connections_refused"' in "".join(server.output))
        with connections(server, 8, "127.0.0.3") as proxy:
            assert proxy[-1].recv(1) == b""  # the thirteenth of the worker
            assert answers(proxy[5])  # more than an address may have
    wait_until(lambda: is_served_at(server, "127.0.0.2"))


def is_served_at(server: Server, source: str) -> bool:
    with connections(server, 1, source) as [client]:
        return answers(client)


def answers(client: socket.socket) -> bool:
    client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    return client.recv(12) == b"HTTP/1.1 200"
