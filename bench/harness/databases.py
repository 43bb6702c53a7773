"""Databases of contestants, prepared once a run and copied for each server."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterable
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from bench.apps.sample import ORDERS
from bench.harness.contestants import ROOT, Contestant, Home
from bench.harness.load import CORES, Failed, Unavailable, on_cores

BYTES_OF_AN_ORDER = 600
"""The space of an order during its creation: 230 in SQLite's file, the same in its log, and
reserve."""

Key = tuple[object, str, int]


class Databases:
    """Makes homes for contestants in a folder; PostgreSQL starts on demand.

    PostgreSQL flushes every commit to the disk, which is its default.
    """

    def __init__(self, folder: Path) -> None:
        self.version = "not started"
        self._folder = folder.resolve()
        self._made: dict[Key, Home | Failed | Unavailable] = {}
        self._number = count(1)
        self._server: Any = None
        self._why = ""

    def prepare(self, wanted: Iterable[tuple[Contestant, int]]) -> None:
        """Create the missing tables and orders of each contestant in parallel."""
        new: dict[Key, Contestant] = {}
        for contestant, orders in wanted:
            key = _key(contestant, orders)
            if key in self._made:
                continue
            try:
                self._made[key] = self._empty(contestant, orders)
                new[key] = contestant
            except Unavailable as reason:
                self._made[key] = reason
        for step in range(max((len(one.prepare) for one in new.values()), default=0)):
            self._run(
                {k: one.prepare[step] for k, one in new.items() if step < len(one.prepare)}, new
            )

    def _run(self, commands: dict[Key, tuple[str, ...]], who: dict[Key, Contestant]) -> None:
        running: dict[Key, subprocess.Popen[str]] = {}
        try:
            for key, command in commands.items():
                home = self._made[key]
                if isinstance(home, Home):
                    running[key] = subprocess.Popen(  # noqa: S603 - a contestant
                        [
                            *on_cores(CORES),
                            who[key].python,
                            *(part.format(orders=key[2]) for part in command),
                        ],
                        cwd=ROOT,
                        env=who[key].environment_in(home),
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        text=True,
                    )
            for key, process in running.items():
                written, _ = process.communicate()
                if process.returncode:
                    self._made[key] = Failed(f"it cannot be prepared: {written[-600:]}")
        finally:
            for process in running.values():
                process.kill()

    def copy(self, contestant: Contestant, orders: int = ORDERS) -> Home:
        """Return a separate home with this number of orders.

        A home with more orders than usual is for one server and is not copied. Raises `Failed` and
        `Unavailable`.
        """
        self.prepare([(contestant, orders)])
        made = self._made[_key(contestant, orders)]
        if not isinstance(made, Home):
            raise made
        if orders != ORDERS:
            return made
        home = self._home(contestant, template=made.database.rpartition("/")[2])
        shutil.copytree(made.folder, home.folder, dirs_exist_ok=True)
        return home

    def _empty(self, contestant: Contestant, orders: int) -> Home:
        needed, free = orders * BYTES_OF_AN_ORDER, shutil.disk_usage(self._folder).free
        if needed > free:
            raise Unavailable(
                f"{orders:,} orders need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
            )
        return self._home(contestant, template="template0")

    def _home(self, contestant: Contestant, *, template: str) -> Home:
        number = next(self._number)
        folder = self._folder / str(number)
        folder.mkdir()
        if not contestant.on_postgresql:
            return Home(folder, contestant.database.format(folder=folder))
        if self._server is None:
            self._start()
        postgres, name = import_module("tests.support.databases.postgres"), f"bench_{number}"
        create = f"CREATE DATABASE {name} TEMPLATE {template}"
        asyncio.run(postgres.execute(self._server.url(), create))
        url = contestant.database + str(self._server.url(name)).partition("://")[2]
        return Home(folder, url)

    def _start(self) -> None:
        if self._why:
            raise Unavailable(self._why)
        try:
            postgres = import_module("tests.support.databases.postgres")
            self._server = postgres.PostgresServer(postgres.binaries(), durable=True)
            self._server.init()
            self._server.start()
            command = [str(self._server.binaries / "postgres"), "--version"]
            self.version = subprocess.check_output(command, text=True).split()[2]  # noqa: S603 - it
        except Exception as error:  # noqa: BLE001 - any error is reported
            self.close()
            self._why = f"there is no PostgreSQL: {error}"
            raise Unavailable(self._why) from None

    def close(self) -> None:
        if self._server is not None:
            self._server.remove()
        self._server = None


def _key(contestant: Contestant, orders: int) -> Key:
    """Return the key of contestants that are prepared in the same way."""
    return contestant.prepare, contestant.database, orders
