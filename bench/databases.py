"""Databases for contestants: files in a folder, and a PostgreSQL started for the run."""

import asyncio
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from bench.contestants import Contestant
from bench.load import Unavailable


class Databases:
    """Makes an empty database for each contestant; PostgreSQL starts when one first asks for it.

    It flushes every commit to the disk, as it does unless it is told otherwise.
    """

    def __init__(self) -> None:
        self._number = count(1)
        self._server: Any = None
        self._why = ""

    def of(self, contestant: Contestant, folder: Path) -> str:
        """Return the URL of an empty database. Raises `Unavailable` without a PostgreSQL."""
        if not contestant.on_postgresql:
            return contestant.database.format(folder=folder.resolve())
        if self._server is None:
            self._start()
        postgres, name = import_module("tests.postgres"), f"bench_{next(self._number)}"
        asyncio.run(postgres.execute(self._server.url(), f"CREATE DATABASE {name}"))
        return contestant.database + str(self._server.url(name)).partition("://")[2]

    def _start(self) -> None:
        if self._why:
            raise Unavailable(self._why)
        try:
            postgres = import_module("tests.postgres")
            self._server = postgres.PostgresServer(postgres.binaries(), durable=True)
            self._server.init()
            self._server.start()
        except Exception as error:  # noqa: BLE001 - it is told, whatever it is
            self.close()
            self._why = f"there is no PostgreSQL: {error}"
            raise Unavailable(self._why) from None

    def close(self) -> None:
        if self._server is not None:
            self._server.remove()
        self._server = None
