"""MariaDB for tests: an existing server, or a new one."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncmy
import pytest
from asyncmy.errors import MySQLError

from ordergate.adapters.sql.mysql.database import MysqlDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from tests.support.captured_output import OUTPUT, run_program
from tests.support.programs import find_program

URL_VARIABLE = "ORDERGATE_TEST_MYSQL_URL"
"""The URL of a server for test databases; without it, a server is started."""

PASSWORD = "the password of the test server"
SECONDS = 60
USED: list[str] = []
"""The servers used, for the summary of the run."""

# The server ends when the other end of this pipe is closed.
_GUARD = """
exec 3<&0
"$@" </dev/null & server=$!
echo $server >server.pid
{ read _ <&3; kill -TERM $server; } 2>/dev/null & guard=$!
wait $server
kill $guard 2>/dev/null
"""

# The defaults are those of a server that was set up for another program.
_SETTINGS = (
    "--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=200",
    "--character-set-server=latin1", "--collation-server=latin1_swedish_ci",
    "--sql-mode=", "--default-time-zone=+03:00", "--transaction-isolation=SERIALIZABLE",
    "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--skip-log-bin",
)  # fmt: skip


class NoMariadbError(Exception):
    """Why this machine has no MariaDB."""


class MariadbServer:
    """A server on the loopback address with data of its own.

    `durable` servers flush what they commit, so that it survives `kill`.
    """

    def __init__(
        self, program: Path, *, durable: bool = False, options: tuple[str, ...] = ()
    ) -> None:
        self.program = program
        self.durable = durable
        self.options = options
        self.port = _free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="ordergate-mariadb-"))
        self.data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._own(self.folder)

    def init(self) -> None:
        """Make an empty server with one user."""
        install = shutil.which("mariadb-install-db")
        if install is None:
            raise NoMariadbError("mariadb-install-db is missing")
        made = run_program(
            [install, "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            cwd=self.folder, capture_output=True, text=True, check=False, timeout=SECONDS,
            user=_user(), env=self._environment(),
        )  # fmt: skip
        if made.returncode:
            raise NoMariadbError(made.stdout + made.stderr)
        users = self.folder / "users.sql"
        users.write_text(
            "CREATE DATABASE IF NOT EXISTS orders;\n"
            f"CREATE USER IF NOT EXISTS ordergate@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO ordergate@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        self._own(users)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        deadline = time.monotonic() + SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                log = (self.folder / "log").read_text()[-2_000:]
                self.stop()
                raise NoMariadbError(log)
            if self._process is None or self._process.poll() is not None:
                self.stop()
                self._launch()
            time.sleep(0.02)

    def _launch(self) -> None:
        flush = 1 if self.durable else 0
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "sh", self.program, "--no-defaults",
                 f"--datadir={self.data}", f"--port={self.port}", f"--socket={self.folder}/socket",
                 f"--init-file={self.folder}/users.sql", *_SETTINGS,
                 f"--innodb-flush-log-at-trx-commit={flush}", *self.options],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True, user=_user(), env=self._environment(),
            )  # fmt: skip

    def _answers(self) -> bool:
        try:
            asyncio.run(execute(self.url(), "SELECT 1"))
        except (OSError, MySQLError):
            return False
        return True

    def stop(self) -> None:
        """End the server as an administrator does."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(SECONDS)
        self._process = None

    def kill(self) -> None:
        """Kill the server."""
        os.kill(int((self.folder / "server.pid").read_text()), signal.SIGKILL)
        self.stop()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        shutil.rmtree(self.folder)

    def url(self, database: str = "orders") -> str:
        """Return the URL of a database."""
        password = PASSWORD.replace(" ", "%20")
        return f"mariadb://ordergate:{password}@127.0.0.1:{self.port}/{database}"

    def _environment(self) -> dict[str, str]:
        """Return an environment with a folder of temporary tables."""
        return {**os.environ, "TMPDIR": str(self.folder)}

    def _own(self, path: Path) -> None:
        if user := _user():
            shutil.chown(path, user)


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
    with run_mariadb(request.getfixturevalue("mariadb_program")) as server:
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


@contextmanager
def run_mariadb(
    program: Path, *, durable: bool = False, options: tuple[str, ...] = ()
) -> Iterator[MariadbServer]:
    """Run a new server, and remove it afterwards."""
    server = MariadbServer(program, durable=durable, options=options)
    try:
        server.init()
        server.start()
        yield server
    finally:
        server.remove()


def _user() -> str | None:
    """Return the user that the server runs as, if not the current."""
    return "nobody" if os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


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
