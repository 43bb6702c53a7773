"""Three PostgreSQL servers under Patroni, with etcd, on loopback ports."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
from typing_extensions import override

from tests.support.databases.database_server import (
    PASSWORD,
    DatabaseServer,
    NoServerError,
    find_free_port,
)
from tests.support.databases.postgres import binaries, runs

PATRONI = Path(__file__).parents[2] / ".venv-cluster" / "bin" / "patroni"
SECONDS = 120
SETTINGS: dict[str, Any] = {
    "ttl": 20,
    "loop_wait": 5,
    "retry_timeout": 5,
    "synchronous_mode": True,
    "synchronous_mode_strict": False,
    "postgresql": {"use_pg_rewind": True},
}
"""What docs/cluster.md shows as the settings of the whole cluster."""

_SIGNAL_PAUSE = 0.01


class Etcd(DatabaseServer):
    """A store with one member."""

    scheme = "etcd"
    database = ""
    ending = "TERM"

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program
        self._peers = find_free_port()

    @override
    def init(self) -> None:
        """Do nothing: it makes its data itself."""

    @override
    def command(self) -> list[str | Path]:
        """Return the command that runs the server."""
        clients, peers = (f"http://127.0.0.1:{port}" for port in (self.port, self._peers))
        addresses = {
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
        }
        options = [f"--{name}={value}" for name, value in addresses.items()]
        return [self._program, f"--data-dir={self.data}", *options]

    @override
    def answers(self) -> bool:
        """Return whether the server answers a client."""
        return _ask(f"http://127.0.0.1:{self.port}/health").get("health") == "true"


class Node(DatabaseServer):
    """A machine with Patroni and PostgreSQL."""

    scheme = "postgresql"
    database = "postgres"
    ending = "TERM"

    def __init__(self, name: str, etcd: Etcd, programs: Path, settings: dict[str, Any]) -> None:
        super().__init__(durable=True)
        self.name = name
        self._etcd = etcd
        self._programs = programs
        self._settings = settings
        self._rest = find_free_port()

    @override
    def init(self) -> None:
        """Write the configuration, which is YAML also as JSON."""
        account = {"username": "ordergate", "password": PASSWORD}
        rest, address = f"127.0.0.1:{self._rest}", f"127.0.0.1:{self.port}"
        configuration = {
            "scope": "orders",
            "name": self.name,
            "etcd3": {"host": f"127.0.0.1:{self._etcd.port}"},
            "restapi": {"listen": rest, "connect_address": rest},
            "bootstrap": {
                "dcs": self._settings,
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
            },
            "postgresql": {
                "listen": address,
                "connect_address": address,
                "data_dir": str(self.data),
                "bin_dir": str(self._programs),
                "pgpass": str(self.folder / "pgpass"),
                "authentication": {"superuser": account, "replication": account},
                "parameters": {"unix_socket_directories": "", "max_connections": 200},
                "pg_hba": [
                    "host all all 127.0.0.1/32 scram-sha-256",
                    "host replication all 127.0.0.1/32 scram-sha-256",
                ],
            },
        }
        written = self.folder / "patroni.yml"
        written.write_text(json.dumps(configuration, indent=2))
        self.own(written)

    @override
    def command(self) -> list[str | Path]:
        """Return the command that runs Patroni."""
        return [PATRONI, self.folder / "patroni.yml"]

    @override
    def answers(self) -> bool:
        """Return whether Patroni answers."""
        return bool(self.list_members())

    def list_members(self) -> list[dict[str, Any]]:
        """Return what this node knows of the cluster."""
        members: list[dict[str, Any]] = _ask(f"http://127.0.0.1:{self._rest}/cluster").get(
            "members", []
        )
        return members

    def kill_postgres(self) -> None:
        """Kill the first process of PostgreSQL; the others end without it."""
        pid = (self.data / "postmaster.pid").read_text().splitlines()[0]
        os.kill(int(pid), signal.SIGKILL)

    @override
    def kill(self) -> None:
        """Kill Patroni and PostgreSQL with all their processes.

        They are stopped first, so that none can react to the end of another.
        """
        for number in (signal.SIGSTOP, signal.SIGKILL):
            while self._signal(number):
                time.sleep(_SIGNAL_PAUSE)
        self.stop()

    def _signal(self, number: int) -> bool:
        """Signal every process; return whether one still ran."""
        ran = False
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if (entry / "cwd").readlink().is_relative_to(self.folder) and state not in "ZX":
                    os.kill(int(entry.name), number)
                    ran = ran or number == signal.SIGKILL or state != "T"
        return ran


class PatroniCluster:
    """Three nodes, of which one leads and one is its synchronous standby."""

    def __init__(self, etcd_program: str, programs: Path, *, strict: bool = False) -> None:
        settings = SETTINGS | {"synchronous_mode_strict": strict}
        self.etcd = Etcd(etcd_program)
        self.nodes = [Node(f"node{i}", self.etcd, programs, settings) for i in (1, 2, 3)]

    @property
    def url(self) -> str:
        """The URL for Ordergate."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        account, _, rest = self.nodes[0].url().partition("@")
        return f"{account}@{hosts}/{rest.partition('/')[2]}?target_session_attrs=read-write"

    def start(self) -> None:
        """Start all, and wait until a synchronous standby is named."""
        self.etcd.start()
        for node in self.nodes:
            node.init()
            node.start()
            self.wait(lambda: self.find("leader") is not None, "no leader")
        self.wait_until_complete()

    def find(self, role: str) -> Node | None:
        """Return the node of a role, as a node that runs says."""
        for node in self.nodes:
            for member in node.list_members():
                if member["role"] == role and member["state"] in {"running", "streaming"}:
                    return next(each for each in self.nodes if each.name == member["name"])
        return None

    def leader(self) -> Node:
        """Return the leader, once there is one."""
        self.wait(lambda: self.find("leader") is not None, "no leader")
        leader = self.find("leader")
        assert leader is not None
        return leader

    def wait_until_complete(self) -> None:
        """Wait until one leads, and the others follow it, one synchronously."""

        def is_complete() -> bool:
            members = self.nodes[0].list_members()
            roles = sorted(each["role"] for each in members)
            states = sorted(each["state"] for each in members)
            return roles == ["leader", "replica", "sync_standby"] and states == [
                "running", "streaming", "streaming",
            ]  # fmt: skip

        self.wait(is_complete, "the cluster is not complete")

    def wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Wait for a condition of the cluster."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            if time.monotonic() > deadline:
                logs = [(node.folder / "log").read_text()[-2_000:] for node in self.nodes]
                raise AssertionError("\n".join([otherwise, *logs]))
            time.sleep(0.1)

    def remove(self) -> None:
        """Stop all, and remove their data."""
        for node in self.nodes:
            node.kill()
            node.remove()
        self.etcd.remove()


@contextmanager
def run_cluster(*, strict: bool = False) -> Iterator[PatroniCluster]:
    """Run a cluster. Raises `NoServerError` if a program is missing."""
    cluster = PatroniCluster(find_etcd(), binaries(), strict=strict)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


def find_etcd() -> str:
    """Return the program etcd. Raises `NoServerError` without it or Patroni."""
    if not PATRONI.exists():
        raise NoServerError("Patroni is not installed; `make crash-patroni` installs it")
    if not runs(PATRONI):
        raise NoServerError(
            "no user but root can run the Python of .venv-cluster; remove it, and name another:"
            " make crash-patroni PYTHON=/usr/bin/python3"
        )
    program = shutil.which("etcd")
    if program is None:
        raise NoServerError("etcd is not installed (Debian, Ubuntu: apt install etcd-server)")
    return program


def _ask(url: str) -> dict[str, Any]:
    try:
        answer = httpx2.get(url, timeout=2)
        found: dict[str, Any] = answer.json()
    except (httpx2.TransportError, ValueError):
        return {}
    return found
