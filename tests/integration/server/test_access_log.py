"""The access log of a real server."""

from pathlib import Path

import httpx2

from tests.support.program.command import SECONDS, ordergate, wait_until
from tests.support.program.log_lines import read_line
from tests.support.program.server import Start


def test_access_log_of_a_server_is_part_of_its_log(tmp_path: Path, start: Start) -> None:
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    settings = {"ACCESS_LOG": "true", "LOG_FORMAT": "json"}
    server = start("serve", "--workers", 2, cwd=tmp_path, **settings)
    answer = httpx2.get(f"{server.url}/orders/1?token=secret", timeout=SECONDS)
    assert answer.status_code == 401
    wait_until(lambda: any(answer.headers["x-request-id"] in line for line in server.output))
    (line,) = [read_line(line) for line in server.output if "/orders/{id}" in line]
    assert 0 < line.pop("ms") < SECONDS * 1_000
    assert line == {
        "event": "request_finished",
        "level": "info",
        "logger": "ordergate.access",
        "method": "GET",
        "route": "/orders/{id}",
        "status": 401,
        "bytes": len(answer.content),
        "address": "127.0.0.1",
        "request_id": answer.headers["x-request-id"],
    }
