"""MariaDB for tests: an existing server, or a new one."""

import asyncio
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import asyncmy
import pytest
from asyncmy.errors import MySQLError

from ordergate.adapters.sql.mysql.database import MysqlDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from tests.support.databases.database_server import PASSWORD, DatabaseServer, NoServerError
from tests.support.program.captured_output import OUTPUT
from tests.support.programs import find_program

URL_VARIABLE = "ORDERGATE_TEST_MYSQL_URL"
"""The URL of a server for test databases; without it, a server is started."""

USED: list[str] = []
"""The servers used, for the summary of the run."""

# The defaults are those of a server that was set up for another program.
_SETTINGS = (
    "--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=200",
    "--character-set-server=latin1", "--collation-server=latin1_swedish_ci",
    "--sql-mode=", "--default-time-zone=+03:00", "--transaction-isolation=SERIALIZABLE",
    "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--skip-log-bin",
)  # fmt: skip


class MariadbServer(DatabaseServer):
    """A MariaDB server."""

    scheme = "mariadb"
    database = "orders"
    ending = "TERM"

    def __init__(
        self, program: Path, *, durable: bool = False, options: tuple[str, ...] = ()
    ) -> None:
        super().__init__(durable=durable)
        self.program = program
        self.options = options

    def init(self) -> None:
        """Make an empty server with one user."""
        install = shutil.which("mariadb-install-db")
        if install is None:
            raise NoServerError("mariadb-install-db is missing")
        options = ("--skip-test-db", "--auth-root-authentication-method=normal")
        self.run(install, "--no-defaults", f"--datadir={self.data}", *options)
        users = self.folder / "users.sql"
        users.write_text(
            "CREATE DATABASE IF NOT EXISTS orders;\n"
            f"CREATE USER IF NOT EXISTS ordergate@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO ordergate@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        self.own(users)

    def command(self) -> list[str | Path]:
        """Return the command that runs the server."""
        places = {
            "datadir": self.data,
            "port": self.port,
            "socket": self.folder / "socket",
            "init-file": self.folder / "users.sql",
            "innodb-flush-log-at-trx-commit": 1 if self.durable else 0,
        }
        named = [f"--{name}={value}" for name, value in places.items()]
        return [self.program, "--no-defaults", *named, *_SETTINGS, *self.options]

    def answers(self) -> bool:
        """Return whether the server answers a client."""
        try:
            asyncio.run(execute(self.url(), "SELECT 1"))
        except (OSError, MySQLError):
            return False
        return True

    def environment(self) -> dict[str, str]:
        """Return an environment with a folder of temporary tables."""
        return {**os.environ, "TMPDIR": str(self.folder)}


class Databases:
    """A database for each test, with the tables of a migrated one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._prefix = f"ordergate_test_{os.getpid()}"
        self._number = count()
        template = self.create()
        asyncio.run(_migrate(template))
        self._tables = asyncio.run(_definitions(template))
        self.drop(template)

    def create(self, *, migrated: bool = False) -> str:
        """Make a database, empty or migrated; return its URL."""
        name = f"{self._prefix}_{next(self._number)}"
        asyncio.run(execute(self._url, f"CREATE DATABASE {name}"))
        url = urlsplit(self._url)._replace(path=f"/{name}").geturl()
        if migrated:
            asyncio.run(execute(url, "SET foreign_key_checks = 0", *self._tables))
        return url

    def drop(self, url: str) -> None:
        """Remove a database."""
        asyncio.run(execute(self._url, f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]}"))


async def connect(url: str) -> Any:
    """Connect as another client does."""
    parts = urlsplit(url)
    return await asyncmy.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        password=unquote(parts.password or ""),
        database=parts.path[1:],
        autocommit=True,
        connect_timeout=5,
    )


async def fetch(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement."""
    connection = await connect(url)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(statement)
            return list(await cursor.fetchall())
    finally:
        await connection.ensure_closed()


async def execute(url: str, *statements: str) -> None:
    """Run statements, each by itself."""
    connection = await connect(url)
    try:
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
    finally:
        await connection.ensure_closed()


def database_at(
    url: str,
    *,
    pool_size: int = 10,
    pool_seconds: float = 5,
    statement_seconds: float = 5,
    idle_seconds: float = 60,
) -> MysqlDatabase:
    """Return the adapter of a database with the default limits."""
    return MysqlDatabase(
        url,
        pool_size=pool_size,
        pool_seconds=pool_seconds,
        statement_seconds=statement_seconds,
        idle_seconds=idle_seconds,
    )


@contextmanager
def as_mysql(storage: SqlStorage) -> Iterator[None]:
    """Let the adapter take the server for MySQL, whose writes are transactions."""
    database = storage._database
    assert isinstance(database, MysqlDatabase)
    with patch.object(database, "_has_blocks", return_value=False):
        yield


def read_commands(sent: Iterable[bytes]) -> list[bytes]:
    """Return the commands in what was sent: each begins a sequence."""
    commands, stream = [], b"".join(sent)
    while stream:
        length, number = int.from_bytes(stream[:3], "little"), stream[3]
        packet, stream = stream[4 : 4 + length], stream[4 + length :]
        if number == 0:
            commands.append(packet[1:])
    return commands


def program() -> Path:
    """Find the installed server. Skips the test, or fails it, without one."""
    return Path(find_program("mariadbd"))


@pytest.fixture(scope="session")
def mariadb_program() -> Path:
    """Return the server's program, for tests that start servers of their own."""
    try:
        return program()
    except pytest.skip.Exception as error:
        USED.append(f"none, so its tests were NOT run: {error} (Debian: mariadb-server)")
        raise


@pytest.fixture(scope="session")
def mariadb_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of the one server of this run."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        USED.append(f"the server at {URL_VARIABLE}")
        yield url
        return
    with MariadbServer(request.getfixturevalue("mariadb_program")).running() as server:
        USED.append(f"{server.program}")
        yield server.url()


@pytest.fixture(scope="session")
def mariadb_databases(mariadb_server: str) -> Databases:
    """Return what makes databases."""
    OUTPUT.secrets.update({PASSWORD, urlsplit(mariadb_server).password or PASSWORD})
    return Databases(mariadb_server)


@pytest.fixture
def mariadb_url(mariadb_databases: Databases) -> Iterator[str]:
    """Return the URL of a database that is migrated and empty."""
    url = mariadb_databases.create(migrated=True)
    yield url
    mariadb_databases.drop(url)


@pytest.fixture
def bare_mariadb_url(mariadb_databases: Databases) -> Iterator[str]:
    """Return the URL of a database with nothing in it."""
    url = mariadb_databases.create()
    yield url
    mariadb_databases.drop(url)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the tests ran against, or that they did not."""
    for what in dict.fromkeys(USED):
        terminalreporter.write_line(f"MariaDB: {what}", bold=True)


async def _migrate(url: str) -> None:
    database = database_at(url)
    await SqlStorage(database).migrate()
    await database.close()


async def _definitions(url: str) -> list[str]:
    """Return the statements that make a migrated database."""
    tables = [name for (name,) in await fetch(url, "SHOW TABLES")]
    made = [(await fetch(url, f"SHOW CREATE TABLE {table}"))[0][1] for table in tables]
    ((revision,),) = await fetch(url, "SELECT version_num FROM ordergate_version")
    ((secret,),) = await fetch(url, "SELECT hex(value) FROM secrets")
    return [
        *made,
        f"INSERT INTO ordergate_version VALUES ('{revision}')",
        f"INSERT INTO secrets VALUES ('storage', unhex('{secret}'))",
        "INSERT INTO ordergate_migrations VALUES ('lock')",
    ]
