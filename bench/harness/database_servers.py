"""Database servers of contestants; each flushes every commit to the disk."""

import asyncio
import os
import shutil
import subprocess
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from bench.harness.load import Unavailable

_OPTIONS = ("--innodb-buffer-pool-size=128M", "--innodb-log-file-size=96M")
"""MariaDB's defaults, where those of the tests are smaller."""


class DatabaseServer(Protocol):
    """A server that runs until it is closed."""

    version: str

    def create(self, name: str, template: str | None) -> str:
        """Create a database, empty or as a copy.

        Return its URL without the scheme.
        """

    def close(self) -> None: ...


class PostgresServer:
    """PostgreSQL of the tests, with its own settings."""

    def __init__(self) -> None:
        self._tests = import_module("tests.support.databases.postgres")
        self._server: Any = self._tests.PostgresServer(self._tests.binaries(), durable=True)
        self.version = _start(self._server, self._server.binaries / "postgres").split()[2]

    def create(self, name: str, template: str | None) -> str:
        """Create a database from a template."""
        create = f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}"
        asyncio.run(self._tests.execute(self._server.url(), create))
        return _without_scheme(self._server.url(name))

    def close(self) -> None:
        """Stop the server and remove its data."""
        self._server.remove()


class MariadbServer:
    """MariaDB of the tests, with the memory of its defaults."""

    def __init__(self) -> None:
        self._tests = import_module("tests.support.databases.mariadb")
        program = _find("mariadbd")
        self._server: Any = self._tests.MariadbServer(program, durable=True, options=_OPTIONS)
        version = _start(self._server, program)
        self.version = version.partition("Ver ")[2].split()[0].partition("-")[0]

    def create(self, name: str, template: str | None) -> str:
        """Create a database, and fill it with a dump of another one."""
        asyncio.run(self._tests.execute(self._server.url(), f"CREATE DATABASE {name}"))
        if template is not None:
            dump = [*self._client("mariadb-dump"), "--single-transaction", template]
            data = subprocess.check_output(dump, env=self._environment)  # noqa: S603 - MariaDB's
            load = [*self._client("mariadb"), name]
            subprocess.run(load, input=data, env=self._environment, check=True)  # noqa: S603
        return _without_scheme(self._server.url(name))

    def close(self) -> None:
        """Stop the server and remove its data."""
        self._server.remove()

    @property
    def _environment(self) -> dict[str, str]:
        password = unquote(urlsplit(self._server.url()).password or "")
        return {**os.environ, "MYSQL_PWD": password}

    def _client(self, name: str) -> list[str]:
        url = urlsplit(self._server.url())
        options = (f"--host={url.hostname}", f"--port={url.port}", f"--user={url.username}")
        return [_find(name), "--no-defaults", *options]


SERVERS: dict[str, tuple[str, type[PostgresServer] | type[MariadbServer]]] = {
    "postgresql": ("PostgreSQL", PostgresServer),
    "mariadb": ("MariaDB", MariadbServer),
}
"""The servers by the engine in a URL, each with its name."""


def _start(server: Any, program: object) -> str:
    """Start a server; return what its program says of its version."""
    try:
        server.init()
        server.start()
        said = [str(program), "--version"]
        return subprocess.check_output(said, text=True)  # noqa: S603 - the program that runs
    except BaseException:
        server.remove()
        raise


def _find(name: str) -> str:
    """Find a program of a server. Raises `Unavailable`."""
    path = shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if path is None:
        raise Unavailable(f"{name} is not installed")
    return path


def _without_scheme(url: str) -> str:
    return url.partition("://")[2]
