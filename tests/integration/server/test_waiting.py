"""`--wait`: commands that are started before their database server."""

import asyncio
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from ordergate.adapters.sql.postgres.connecting.readiness import find_reason_to_wait
from tests.support.databases.database_server import PASSWORD
from tests.support.databases.postgres import PostgresServer, execute
from tests.support.program.captured_output import OUTPUT
from tests.support.program.command import SECONDS, clean_environment, ordergate, wait_until
from tests.support.program.server import LISTENING


@pytest.fixture(scope="module")
def postgres(postgres_binaries: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(postgres_binaries)
    server.init()
    OUTPUT.secrets.add(PASSWORD)
    yield server
    server.remove()


@pytest.fixture
def later(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """Return a server that is not started yet."""
    yield postgres
    postgres.stop()


class Waiting:
    """A running command, and what it has written to standard error."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.written: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.written.append(line)
            OUTPUT.add(line)
        self.process.stderr.close()

    def has_written(self, text: str) -> bool:
        assert self.process.poll() is None, self.written
        return any(text in line for line in self.written)

    def end(self) -> tuple[int, str, list[str]]:
        """Return the exit status, standard output and the lines of standard error."""
        status = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        assert self.process.stdout is not None
        output = self.process.stdout.read()
        self.process.stdout.close()
        return status, output, self.written


Run = Callable[..., Waiting]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    started: list[Waiting] = []

    def start(*arguments: object, url: str) -> Waiting:
        process = subprocess.Popen(
            [sys.executable, "-m", "ordergate.entrypoints", *map(str, arguments)],
            cwd=tmp_path,
            env=clean_environment(DATABASE_URL=url, LOG_FORMAT="json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(Waiting(process))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.terminate()
            each.end()


def test_migrate_waits_for_a_server_that_starts_later(later: PostgresServer, run: Run) -> None:
    command = run("migrate", "--wait", url=later.url())
    address = f"127.0.0.1:{later.port}/postgres"
    wait_until(lambda: command.has_written(f"waiting for the database at {address}"))
    later.start()
    status, output, written = command.end()
    assert (status, output) == (0, f"The schema of {address} is current.\n")
    assert len(written) == 1
    assert "the connection was refused" in written[0]


def test_serve_waits_for_the_server_and_then_for_its_schema(
    later: PostgresServer, run: Run, tmp_path: Path
) -> None:
    later.start()
    url = fresh_database(later)
    later.stop()
    command = run("serve", "--wait", "--port", 0, url=url)
    wait_until(lambda: command.has_written(f"waiting for the database at 127.0.0.1:{later.port}/"))
    later.start()
    assert ordergate("migrate", cwd=tmp_path, DATABASE_URL=url).returncode == 0
    wait_until(lambda: command.has_written('"event": "listening"'))
    (line,) = (line for line in command.written if '"event": "listening"' in line)
    assert f'"database": "127.0.0.1:{later.port}/{url.rpartition("/")[2]}"' in line
    found = LISTENING.search(line)
    assert found
    assert httpx2.get(f"{found[1]}/readyz").status_code == 200


def test_serve_gives_up_on_a_schema_that_stays_old(later: PostgresServer, run: Run) -> None:
    later.start()
    url = fresh_database(later)
    status, _, written = run("serve", "--wait", 1, "--port", 0, url=url).end()
    assert status == 1
    assert written[-1].endswith(
        f"the database at 127.0.0.1:{later.port}/{url.rpartition('/')[2]} was not ready within"
        " 1 s: the database's schema is not current; run `ordergate migrate`\n"
    )


def fresh_database(server: PostgresServer) -> str:
    """Make an empty database and return its URL."""
    name = f"waiting_{secrets.token_hex(4)}"
    asyncio.run(execute(server.url(), f"CREATE DATABASE {name} TEMPLATE template0"))
    return server.url(name)


def test_wait_ends_when_a_server_that_starts_up_accepts_connections(
    later: PostgresServer, run: Run
) -> None:
    """A standby that is not hot answers 57P03 until it is promoted."""
    (later.data / "standby.signal").touch()
    with (later.data / "postgresql.auto.conf").open("a") as settings:
        settings.write("hot_standby = off\n")
    later._launch()
    wait_until(lambda: later._process is not None and (later.data / "postmaster.pid").exists())
    command = run("migrate", "--wait", url=later.url())
    wait_until(lambda: command.has_written("waiting for the database"))
    later.run(later.binaries / "pg_ctl", "promote", "--pgdata", str(later.data))
    assert command.end()[0] == 0


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_permanent_error_is_reported_without_waiting(
    later: PostgresServer, run: Run, command: str
) -> None:
    later.start()
    wrong = later.url().replace("the%20password", "another%20password")
    for url, reason in ((wrong, "28P01"), (later.url("missing"), "3D000")):
        status, _, (line,) = run(command, "--wait", url=url).end()
        assert status == 1
        assert reason in line


def test_wait_gives_up_and_names_the_server(run: Run) -> None:
    port = closed_port()
    command = run("migrate", "--wait", 1, url=f"postgresql://me:hunter2@127.0.0.1:{port}/orders")
    status, output, (waiting, line) = command.end()
    assert (status, output) == (1, "")
    assert f"127.0.0.1:{port}/orders" in waiting
    assert line.endswith(
        f"the database at 127.0.0.1:{port}/orders was not ready within 1 s:"
        " the connection was refused\n"
    )
    assert "hunter2" not in waiting + line


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, None)])
def test_signal_ends_the_wait(run: Run, number: int, status: int | None) -> None:
    command = run("serve", "--wait", 600, url=f"postgresql://me@127.0.0.1:{closed_port()}/orders")
    wait_until(lambda: command.has_written("waiting for the database"))
    command.process.send_signal(number)
    ended, _, written = command.end()
    assert ended == status if status else ended != 0
    assert "Traceback" not in "".join(written)


def test_server_that_hangs_up_is_not_hammered(run: Run) -> None:
    with hanging_up() as (port, connections):
        command = run("migrate", "--wait", 3, url=f"postgresql://me@127.0.0.1:{port}/orders")
        assert command.end()[0] == 1
    assert 2 <= len(connections) <= 8


@pytest.mark.parametrize("arguments", [["--wait"], ["--wait", "5"], ["--wait=5"]])
def test_file_needs_no_wait(tmp_path: Path, arguments: list[str]) -> None:
    missing = ordergate("serve", *arguments, "--port", 0, cwd=tmp_path)
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "there is no database at" in missing.stderr
    migrated = ordergate("migrate", *arguments, cwd=tmp_path)
    assert (migrated.returncode, migrated.stderr) == (0, "")


async def test_missing_socket_file_is_waited_for_and_a_missing_certificate_is_not(
    tmp_path: Path,
) -> None:
    folder = str(tmp_path).replace("/", "%2F")
    assert await find_reason_to_wait(f"postgresql://me@{folder}/orders")
    certificate = f"sslmode=verify-full&sslrootcert={tmp_path}/none.pem"
    assert not await find_reason_to_wait(
        f"postgresql://me@127.0.0.1:{closed_port()}/orders?{certificate}"
    )


@contextmanager
def hanging_up() -> Iterator[tuple[int, list[object]]]:
    """Accept and close connections, like a proxy without its server."""
    connections: list[object] = []

    def serve() -> None:
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                return
            connections.append(address)
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], connections
        listener.shutdown(socket.SHUT_RDWR)


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
