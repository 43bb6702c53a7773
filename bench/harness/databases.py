"""Databases of contestants, prepared once a run and copied for each server."""

import shutil
import subprocess
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from bench.apps.sample import ORDERS
from bench.harness.contestants import ROOT, Contestant, Home
from bench.harness.database_servers import SERVERS, DatabaseServer
from bench.harness.load import CORES, Failed, Unavailable, on_cores

BYTES_OF_AN_ORDER = 600
"""The space of an order during its creation: 230 in SQLite's file, the same in its log, and
reserve."""

Key = tuple[object, str, int]


class Databases:
    """Makes homes for contestants in a folder; servers start on demand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._made: dict[Key, Home | Failed | Unavailable] = {}
        self._number = count(1)
        self._servers: dict[str, DatabaseServer | Unavailable] = {}

    @property
    def versions(self) -> str:
        """The names and versions of the servers."""
        started = {engine: getattr(one, "version", None) for engine, one in self._servers.items()}
        return ", ".join(
            f"{name} {started.get(engine) or 'not started'}"
            for engine, (name, _) in SERVERS.items()
        )

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
        return self._home(contestant, template=None)

    def _home(self, contestant: Contestant, *, template: str | None) -> Home:
        number = next(self._number)
        folder = self._folder / str(number)
        folder.mkdir()
        if contestant.engine not in SERVERS:
            return Home(folder, contestant.database.format(folder=folder))
        if contestant.engine not in self._servers:
            self._servers[contestant.engine] = _start(contestant.engine)
        server = self._servers[contestant.engine]
        if isinstance(server, Unavailable):
            raise server
        return Home(folder, contestant.database + server.create(f"bench_{number}", template))

    def close(self) -> None:
        """Stop the servers."""
        for server in self._servers.values():
            if not isinstance(server, Unavailable):
                server.close()
        self._servers = {}


def _start(engine: str) -> DatabaseServer | Unavailable:
    name, make = SERVERS[engine]
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - any error is reported
        return Unavailable(f"there is no {name}: {error}")


def _key(contestant: Contestant, orders: int) -> Key:
    """Return the key of contestants that are prepared in the same way."""
    return contestant.prepare, contestant.database, orders
