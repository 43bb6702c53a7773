"""A client that pipelines or never finishes costs little and blocks none."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, repeat
from pathlib import Path

import httpx2
import pytest

from tests.support.program.command import PASSWORD, SECONDS, on_linux, ordergate
from tests.support.program.server import Server, Start, send_raw

pytestmark = pytest.mark.process

GROWTH_MIB = 64
FLOOD_BYTES = 30_000_000
FLOOD_SECONDS = 3
REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
FORM = (
    b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
)


@pytest.fixture(scope="module")
def server(start_once: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder = tmp_path_factory.mktemp("pipelining")
    assert ordergate("migrate", cwd=folder).returncode == 0
    return start_once("serve", cwd=folder, BCRYPT_COST=4)


def resident_mib(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line) // 1024


def connect(server: Server) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=SECONDS)


def read_statuses(connection: socket.socket) -> list[bytes]:
    """Read until the server closes, and return the status of each answer."""
    received = b""
    while data := connection.recv(65_536):
        received += data
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", received)


def is_served(server: Server) -> bool:
    return httpx2.get(f"{server.url}/livez", timeout=SECONDS).status_code == 200


def flood(server: Server, connection: socket.socket, pieces: Iterator[bytes], *, read: bool) -> int:
    """Send as fast as the server reads; return its peak memory.

    The memory is in MiB.
    """
    connection.setblocking(False)
    deadline, sent, most, unsent = time.monotonic() + FLOOD_SECONDS, 0, 0, b""
    while sent < FLOOD_BYTES and time.monotonic() < deadline:
        unsent = unsent or next(pieces)
        try:
            count = connection.send(unsent)
            sent, unsent = sent + count, unsent[count:]
        except BlockingIOError:
            pass
        except ConnectionError:
            break  # the server has refused it
        try:
            if read and not connection.recv(1_000_000):
                break
        except BlockingIOError:
            most = max(most, resident_mib(server))
        except ConnectionError:
            break
    assert sent > 100_000
    return max(most, resident_mib(server))


@on_linux
@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize(
    "pieces",
    [
        [b"", REQUEST * 2_000],
        [b"", b"GET / HTTP/1.1\r\n\r\n" * 4_000],
        [b"", REQUEST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") * 1_000],
        [b"", b"GET /docs/swagger-ui.css HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000],
        [FORM, b"1\r\nx\r\n" * 10_000],
        [FORM + b"1;", b"x" * 60_000],
        [FORM + b"1\r\nx\r\n0\r\n", b"a: b\r\n" * 10_000],
        [b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 10_000],
    ],
    ids=["requests", "shortest", "expect", "files", "chunks", "extension", "trailers", "fields"],
)
def test_flood_of_one_connection_costs_little_memory_and_blocks_no_other(
    server: Server, pieces: list[bytes], *, read: bool
) -> None:
    assert is_served(server)
    before = resident_mib(server)
    with connect(server) as connection:
        most = flood(server, connection, chain(pieces[:1], repeat(pieces[1])), read=read)
        assert is_served(server)
    assert most - before < GROWTH_MIB


@on_linux
@pytest.mark.parametrize("field", [b"X: " + b"x" * 65_000, b"a:\r\n" * 16_000])
def test_unfinished_heads_cost_memory_in_proportion_to_their_length(
    start: Start, tmp_path: Path, field: bytes
) -> None:
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    server = start("serve", cwd=tmp_path)  # memory that a flood has left would hide the growth
    assert is_served(server)
    before = resident_mib(server)
    with ExitStack() as connections:
        for _ in range(200):
            connections.enter_context(connect(server)).sendall(b"GET / HTTP/1.1\r\n" + field)
        assert is_served(server)
        assert resident_mib(server) - before < GROWTH_MIB


def test_order_gets_its_own_answer_when_a_malformed_request_follows(
    server: Server,
) -> None:
    with httpx2.Client(base_url=server.url) as client:
        account = {"username": "pipelining", "password": PASSWORD}
        assert client.post("/users", json=account).status_code == 201
        token = client.post("/login", data=account).json()["access_token"]
        line = {"sku": "POT", "name": "Teapot", "quantity": 1, "unit_price": "64.00"}
        body = json.dumps({"currency": "EUR", "lines": [line]}).encode()
        head = (
            f"POST /orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        for behind in (b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000):
            with connect(server) as connection:
                connection.sendall((head + body) * 3 + behind)
                statuses = read_statuses(connection)
            assert statuses[:3] == [b"201"] * 3
            assert statuses[3:] == [b"400" if behind.startswith(b"GARBAGE") else b"431"]
        orders = client.get("/orders", headers={"Authorization": f"Bearer {token}"}).json()
        assert len(orders["orders"]) == 6


def test_answers_come_in_order_when_a_file_is_uploaded_between_requests(server: Server) -> None:
    form = b"username=a&password=" + b"x" * 300_000
    post = (
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: %d\r\n\r\n" % len(form)
    )
    last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connect(server) as connection:
        connection.sendall(REQUEST + post + form + REQUEST + post + form + last)
        assert read_statuses(connection) == [b"200", b"413", b"200", b"413", b"200"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/livez", 200),
        ("http://x/livez", 200),
        ("/livez?", 200),
        ("/%6Civez", 404),
        ("/livez%0A", 404),
        ("/docs%0A", 404),
        ("/openapi.json%0A", 404),
        ("/orders/1/cancel%0A", 404),
        ("//livez", 404),
        ("/livez/", 404),
        ("/livez;x", 404),
        ("/livez%00", 404),
        ("/livez%FF", 404),
        ("/docs/../livez", 404),
        ("/docs%2Fstart.js", 404),
        ("/livez#x", 400),
    ],
)
def test_path_is_matched_exactly(server: Server, target: str, status: int) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert send_raw(server, request.encode())[0] == status


@pytest.mark.parametrize(
    ("version", "fields", "status"),
    [
        ("1.1", "", 400),
        ("1.1", "Host: a\r\nHost: a\r\n", 400),
        ("1.1", "Host: a/b\r\n", 400),
        ("1.1", "Host:\r\n", 400),
        ("1.1", "Host:  a:80 \r\n", 200),
        ("1.0", "", 200),
        ("1.0", "Host: a\r\nHost: b\r\n", 400),
    ],
)
@pytest.mark.parametrize("stock", [False, True], ids=["serve", "uvicorn"])
def test_host_is_sent_once_and_well_formed(
    server: Server, other_server: Server, *, version: str, fields: str, status: int, stock: bool
) -> None:
    request = f"GET /livez HTTP/{version}\r\n{fields}Connection: close\r\n\r\n"
    found, _, body = send_raw(other_server if stock else server, request.encode())
    assert found == status
    if status == 400:
        assert json.loads(body)["type"] == "urn:problem-type:ordergate:invalid-header"


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve with uvicorn as it is."""
    folder = tmp_path_factory.mktemp("other")
    assert ordergate("migrate", cwd=folder).returncode == 0
    server = Server.start(
        "--factory",
        "--no-proxy-headers",
        "ordergate.entrypoints.asgi:create",
        cwd=folder,
        module="uvicorn",
    )
    yield server
    server.stop()


def test_heads_have_bounds_under_another_server(other_server: Server) -> None:
    large = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + b"x" * 70_000
    assert send_raw(other_server, large + b"\r\n\r\n")[0] == 431
    many = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"X: y\r\n" * 100
    assert send_raw(other_server, many + b"\r\n")[0] == 431


def test_warning_names_the_limits_when_another_server_runs_the_application(
    other_server: Server, start: Start, tmp_path: Path
) -> None:
    assert is_served(other_server)
    warning = "bounds_left_to_the_server"
    assert sum(warning in line for line in other_server.output) == 1
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    ours = start("serve", "--workers", 2, cwd=tmp_path)
    assert is_served(ours)
    assert warning not in "".join(ours.output)
