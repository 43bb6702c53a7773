"""`ordergate health` beside a server, and without one."""

from ipaddress import IPv4Address
from pathlib import Path

from tests.support.databases.database_server import find_free_port
from tests.support.program.command import CHEAP, error_line, ordergate
from tests.support.program.server import Start

EVERY_ADDRESS = str(IPv4Address(0))


def test_health_follows_the_server(migrated: Path, start: Start) -> None:
    server = start("serve", "--host", EVERY_ADDRESS, cwd=migrated, **CHEAP)
    address = {"LISTEN_HOST": EVERY_ADDRESS, "LISTEN_PORT": server.url.rpartition(":")[2]}
    place = f"{EVERY_ADDRESS} port {address['LISTEN_PORT']}"
    healthy = ordergate("health", cwd=migrated, **address)
    assert (healthy.returncode, healthy.stdout) == (
        0,
        f"The server at {place} is ready.\n",
    )
    (migrated / ".ordergate" / "ordergate.db").unlink()
    assert error_line(ordergate("health", cwd=migrated, **address)).startswith(
        f"the server at {place} is not ready: "
    )


def test_health_fails_when_no_server_answers(tmp_path: Path) -> None:
    port = find_free_port()
    refused = error_line(ordergate("health", cwd=tmp_path, LISTEN_PORT=port))
    assert refused == (
        f"127.0.0.1 port {port} does not answer: Connection refused; start the server, or set"
        " ORDERGATE_LISTEN_HOST or ORDERGATE_LISTEN_PORT"
    )
    assert list(tmp_path.iterdir()) == []
