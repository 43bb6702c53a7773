"""A Galera cluster of three MariaDB nodes on loopback ports."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from tests.support.databases.database_server import PASSWORD, find_free_port
from tests.support.databases.mariadb import USED, Databases, MariadbServer
from tests.support.program.captured_output import OUTPUT
from tests.support.programs import find_program, give_up

NODES = 3

_PROVIDERS = (
    Path("/usr/lib/galera/libgalera_smm.so"),
    Path("/usr/lib64/galera-4/libgalera_smm.so"),
)


class GaleraNode(MariadbServer):
    """A node; it fetches its data from another node at its start."""

    def __init__(self, program: Path, provider: Path, *, durable: bool) -> None:
        super().__init__(program, durable=durable)
        self.provider = provider
        self.group_port, self.ist_port, self.sst_port = (find_free_port() for _ in range(3))
        self.members: list[str] = []
        self.is_first = False

    @property
    def member(self) -> str:
        """The address at which other nodes reach this one."""
        return f"127.0.0.1:{self.group_port}"

    def command(self) -> list[str | Path]:
        """Return the command that runs the node."""
        listening = f"gmcast.listen_addr=tcp://{self.member};base_port={self.group_port}"
        ist = f"ist.recv_addr=127.0.0.1:{self.ist_port}"
        settings = {
            "wsrep-on": "ON",
            "wsrep-provider": self.provider,
            "wsrep-cluster-name": "ordergate-test",
            "wsrep-cluster-address": f"gcomm://{','.join(self.members)}",
            "wsrep-node-name": f"node-{self.port}",
            "wsrep-node-address": "127.0.0.1",
            "wsrep-provider-options": f"{listening};{ist};gcache.size=32M",
            "wsrep-sst-method": "rsync",
            "wsrep-sst-receive-address": f"127.0.0.1:{self.sst_port}",
            "binlog-format": "ROW",
            "innodb-autoinc-lock-mode": 2,
        }
        named = [f"--{name}={value}" for name, value in settings.items()]
        given = [
            each for each in super().command() if self.is_first or "init-file" not in str(each)
        ]
        return [*given, *named, *(["--wsrep-new-cluster"] if self.is_first else [])]


class GaleraCluster:
    """Three nodes, each of which takes writes."""

    def __init__(self, program: Path, provider: Path, *, durable: bool = False) -> None:
        self.nodes = [GaleraNode(program, provider, durable=durable) for _ in range(NODES)]
        for node in self.nodes:
            node.members = [each.member for each in self.nodes]

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Make and start the nodes, and remove them afterwards."""
        first, *others = self.nodes
        try:
            first.init()
            first.is_first = True
            first.start()
            first.is_first = False
            for node in others:
                node.data.mkdir()
                node.own(node.data)
                node.start()
            yield self
        finally:
            for node in self.nodes:
                node.remove()

    def urls(self, url: str) -> list[str]:
        """Return the URL of a database at each node."""
        name = urlsplit(url).path[1:]
        return [node.url(name) for node in self.nodes]

    def url(self, *nodes: int, database: str = "orders") -> str:
        """Return a URL of these nodes, in their order."""
        password = PASSWORD.replace(" ", "%20")
        hosts = ",".join(f"127.0.0.1:{self.nodes[node].port}" for node in nodes)
        return f"mariadb://ordergate:{password}@{hosts}/{database}"


def provider() -> Path:
    """Find Galera's library. Skips the test without it."""
    find_program("rsync")
    path = next((path for path in _PROVIDERS if path.exists()), None)
    if path is None:
        give_up("galera", "galera-4 is not installed")
    return path


@pytest.fixture(scope="session")
def galera_provider(mariadb_program: Path) -> Path:
    """Return Galera's library, for tests that start clusters of their own."""
    try:
        return provider()
    except pytest.skip.Exception as error:
        USED.append(f"no Galera, so its tests were NOT run: {error} (Debian: galera-4, rsync)")
        raise


@pytest.fixture(scope="session")
def galera(mariadb_program: Path, galera_provider: Path) -> Iterator[GaleraCluster]:
    """Return the one cluster of this run."""
    OUTPUT.secrets.add(PASSWORD)
    with GaleraCluster(mariadb_program, galera_provider).running() as cluster:
        USED.append(f"{NODES} nodes with {galera_provider}")
        yield cluster


@pytest.fixture(scope="session")
def galera_databases(galera: GaleraCluster) -> Databases:
    """Return what makes databases on the cluster."""
    return Databases(galera.nodes[0].url())
