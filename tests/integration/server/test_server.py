"""Malformed input on the socket, and how a server starts and ends."""

import json
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.support.program.command import PASSWORD, SECONDS, ordergate, wait_until
from tests.support.program.server import Server, Start, send_raw

CLOSE = b"Host: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n\r\nGARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /livez HTTP/1.1\r\nno header\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nX: a\0b\r\n" + CLOSE,
        b"GET /livez\x80 HTTP/1.1\r\n" + CLOSE,
        b"POST /login HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n" + CLOSE,
        b"POST /login HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n" + CLOSE,
        b"POST /login HTTP/1.1\r\nContent-Length: -1\r\n" + CLOSE,
    ],
    ids=range(8),
)
def test_malformed_request_gets_a_problem(served: Server, garbage: bytes) -> None:
    status, headers, body = send_raw(served, garbage)
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    problem = json.loads(body)
    assert problem["type"] == "urn:problem-type:ordergate:malformed-request"
    assert re.fullmatch("[0-9a-f]{32}", problem["request_id"])
    assert headers["x-request-id"] == problem["request_id"]


@pytest.mark.parametrize(
    "head",
    [
        [b"GET /livez HTTP/1.1\r\nX: ", b"a" * 600_000],
        [b"GET /livez HTTP/1.1\r\n", b"X: y\r\n" * 100_000],
    ],
    ids=["one header", "many headers"],
)
def test_header_size_is_limited(served: Server, head: list[bytes]) -> None:
    status, _, body = send_raw(served, *head)
    assert status == 431
    assert json.loads(body)["detail"] == "The request line and headers exceed 65536 bytes."


def test_trailers_are_not_read_as_headers(served: Server) -> None:
    form = b"username=user1&password=" + PASSWORD.replace(" ", "+").encode()
    chunk = b"%x\r\n%s\r\n0\r\n" % (len(form), form)
    head = b"POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    media_type = b"Content-Type: application/x-www-form-urlencoded\r\n"
    trailer = b"X-Request-ID: from-a-trailer\r\n\r\n"
    status, headers, _ = send_raw(served, head + media_type + b"\r\n" + chunk + trailer)
    assert status == 200
    assert headers["x-request-id"] != "from-a-trailer"
    assert send_raw(served, head + b"\r\n" + chunk + media_type + b"\r\n")[0] == 415


def test_web_socket_upgrade_is_refused(served: Server) -> None:
    upgrade = b"Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    request = b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\n" + upgrade
    status, headers, _ = send_raw(served, request + b"Sec-WebSocket-Version: 13\r\n\r\n")
    assert status == 404
    assert headers["content-type"] == "application/problem+json"


def test_body_in_pieces_is_not_counted_as_header(served: Server) -> None:
    form = b"username=user1&password=" + b"x" * 60_000
    head = (
        b"POST /login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: %d\r\n" % len(form)
    ) + CLOSE
    status, _, _ = send_raw(
        served, head, *[form[i : i + 10_000] for i in range(0, len(form), 10_000)]
    )
    assert status == 400


def test_disconnected_client_is_not_logged_as_an_error(served: Server) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\nusername="
        )
    _, headers, _ = send_raw(served, b"GARBAGE\r\n\r\n")
    wait_until(lambda: headers["x-request-id"] in "".join(served.output))
    assert "unexpected_error" not in "".join(served.output)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_ends_on_a_signal(tmp_path: Path, start: Start, workers: int, number: int) -> None:
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    server = start("serve", "--workers", workers, cwd=tmp_path)
    assert send_raw(server, b"GET /readyz HTTP/1.1\r\n" + CLOSE)[0] == 200
    wait_until(lambda: "".join(server.output).count("startup complete") == workers)
    assert server.stop(number) == 0
    assert "Traceback" not in "".join(server.output)
