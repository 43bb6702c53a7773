"""One run: who is started when, and what is asked of whom."""

import os
import platform
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path

from bench import load
from bench.contestants import THIS, Contestant, Served, prepare, serving
from bench.databases import Databases
from bench.load import CLIENT, CORES, SERVER, WRK, Failed, Load, Unavailable
from bench.machine_limits import (
    bcrypt_a_second,
    memory_of,
    seconds_to_first_answer,
    seconds_to_import,
)
from bench.report import Figure, Report
from bench.workloads import FLOOD, WORKLOADS, Workload, place, read_own, sign_ins

UNGROUPED = replace(
    THIS,
    name="this-ungrouped",
    what="this, one commit an order",
    serve=("bench/ungrouped.py", "serve", "--port", "{port}"),
)
GROWTH = (1_000, 100_000, 10_000_000)


@dataclass(frozen=True, slots=True)
class Options:
    """What a run does: `only` names workloads, all if empty; `seconds` is the time of one load."""

    quick: bool
    only: tuple[str, ...]
    seconds: float
    rounds: int
    growth: bool

    def wants(self, name: str, *, quick: bool = False) -> bool:
        return (
            any(name.startswith(one) for one in self.only) if self.only else quick or not self.quick
        )


def measure(options: Options) -> Report:
    """Measure all that is wanted."""
    # Not in the system's temporary folder, which may be in memory, where a commit costs nothing.
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder,
        ExitStack() as end,
    ):
        databases = Databases()
        end.callback(databases.close)
        return Run(options, Path(folder), databases).all()


class Run:
    """The state of a run."""

    def __init__(self, options: Options, folder: Path, databases: Databases) -> None:
        self.options = options
        self.folder = folder
        self.databases = databases
        self.report = Report(_machine())
        self._number = count()

    def all(self) -> Report:
        for workload in WORKLOADS:
            if self.options.wants(workload.name, quick=workload.quick):
                self.ask(workload)
        steps: dict[str, Callable[[], None]] = {
            "bcrypt": self.bcrypt,
            "place-64-ungrouped": self.ungrouped,
            "workers": self.workers,
            "growth": self.growth,
            "start-up": self.start_up,
            "memory": self.memory,
        }
        for name, step in steps.items():
            if self.options.wants(name):
                _say(name)
                with self._telling(name):
                    step()
        return self.report

    def ask(self, workload: Workload) -> None:
        """Ask all contestants of a workload in turn, round after round."""
        _say(workload.what)
        cores = CORES if workload.all_cores else SERVER
        with ExitStack() as servers:
            asked: list[Served] = []
            for contestant in workload.contestants:
                with self._telling(f"{workload.name} of {contestant.name}"):
                    served = servers.enter_context(self._serving(contestant, cores))
                    served.ask(workload.requests(served)[0])
                    asked.append(served)
            loads: dict[str, list[Load]] = defaultdict(list)
            for _ in range(self.options.rounds):
                for served in asked:
                    with self._telling(f"{workload.name} of {served.contestant.name}"):
                        loads[served.contestant.name].append(self._load(workload, served))
        for unit, value in _UNITS.items():
            for served in asked:
                if rounds := loads[served.contestant.name]:
                    values = tuple(map(value, rounds))
                    self._keep(workload.name, workload.what, served.contestant, unit, values)

    def _load(self, workload: Workload, served: Served) -> Load:
        requests, seconds = workload.requests(served), self.options.seconds
        cores = CORES if workload.all_cores else CLIENT
        if not workload.flood:
            return load.run(
                served.url,
                requests,
                connections=workload.connections,
                seconds=seconds,
                cores=cores,
            )
        flood = load.start(
            served.url, sign_ins(served), connections=FLOOD, seconds=seconds + 2, cores=cores
        )
        try:
            loaded = load.run(
                served.url, requests, connections=workload.connections, seconds=seconds, cores=cores
            )
            flood.result()
        finally:
            flood.stop()
        return loaded

    def _serving(
        self, contestant: Contestant, cores: list[int], *, workers: int = 1, orders: int = 1000
    ) -> AbstractContextManager[Served]:
        folder = self.folder / str(next(self._number))
        folder.mkdir()
        database = self.databases.of(contestant, folder)
        prepare(contestant, folder, database, orders=orders)
        return serving(contestant, folder, database, cores, workers=workers)

    def bcrypt(self) -> None:
        values = [bcrypt_a_second(self.options.seconds) for _ in range(self.options.rounds)]
        self.report.figures.append(
            Figure("bcrypt", "bcrypt on all cores", "machine", "the machine", "/s", tuple(values))
        )

    def ungrouped(self) -> None:
        workload = Workload(
            "place-64", "place an order, 64 connections", place, (UNGROUPED,), connections=64
        )
        self.ask(workload)

    def workers(self) -> None:
        """Read from one worker and from two, on all cores, which the client shares."""
        with ExitStack() as servers:
            served = {
                workers: servers.enter_context(self._serving(THIS, CORES, workers=workers))
                for workers in (1, 2)
            }
            values = defaultdict(list)
            for _ in range(self.options.rounds):
                for workers, one in served.items():
                    values[workers].append(self._reads(one, CORES, connections=64))
        for workers, rates in values.items():
            self._keep(f"workers-{workers}", f"read, {workers} worker(s)", THIS, "/s", tuple(rates))

    def growth(self) -> None:
        sizes = GROWTH if self.options.growth else GROWTH[:2]
        if not self.options.growth:
            self.report.missing.append("growth to 10^7 orders: left out as asked")
        with ExitStack() as servers:
            served = {
                size: servers.enter_context(self._serving(THIS, SERVER, orders=size))
                for size in sizes
            }
            values = defaultdict(list)
            for _ in range(self.options.rounds):
                for size, one in served.items():
                    values[size].append(self._reads(one, CLIENT, orders=size))
        for size, rates in values.items():
            self._keep(f"growth-{size}", f"read, {size:,} orders", THIS, "/s", tuple(rates))

    def _reads(
        self, served: Served, cores: list[int], *, orders: int = 1000, connections: int = 8
    ) -> float:
        return load.run(
            served.url,
            read_own(served, orders),
            connections=connections,
            seconds=self.options.seconds,
            cores=cores,
        ).rate

    def start_up(self) -> None:
        folder = self.folder / "start-up"
        folder.mkdir()
        database = self.databases.of(THIS, folder)
        prepare(THIS, folder, database)
        seconds_to_import(), seconds_to_first_answer(folder, database)
        imports, answers = [], []
        for _ in range(max(3, self.options.rounds)):
            imports.append(seconds_to_import())
            answers.append(seconds_to_first_answer(folder, database))
        what = "start-up to the first answer"
        self._keep("start-up", what, THIS, "s", tuple(answers))
        self.report.figures.append(
            Figure("start-up", what, "imports", "FastAPI and SQLModel alone", "s", tuple(imports))
        )

    def memory(self) -> None:
        with self._serving(THIS, SERVER) as served:
            self._keep(
                "memory-idle", "memory of a worker, idle", THIS, "MiB", (memory_of(served.pid),)
            )
            self._reads(served, CLIENT, connections=64)
            self._keep(
                "memory-loaded",
                "memory of a worker after reads",
                THIS,
                "MiB",
                (memory_of(served.pid),),
            )

    def _keep(
        self, name: str, what: str, who: Contestant, unit: str, values: tuple[float, ...]
    ) -> None:
        self.report.figures.append(Figure(name, what, who.name, who.what, unit, values))

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Keep what fails, and go on: a run of hours is not thrown away for one of its parts."""
        try:
            yield
        except Unavailable as reason:
            self.report.missing.append(f"{what}: {reason}")
        except Failed as reason:
            self.report.failed.append(f"{what}: {reason}")


_UNITS: dict[str, Callable[[Load], float]] = {
    "/s": lambda load: load.rate,
    "ms p50": lambda load: load.p50,
    "ms p99": lambda load: load.p99,
}


def _machine() -> dict[str, str]:
    load_average = " ".join(f"{average:.2f}" for average in os.getloadavg())
    packages = ("fastapi", "uvicorn", "starlette", "pydantic", "sqlmodel", "sqlalchemy")
    return {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load average before": load_average,
        "python": platform.python_version(),
        "packages": ", ".join(f"{package} {version(package)}" for package in packages),
        "client": "wrk" if WRK else "bench/client.py (no wrk here; it is slower than some servers)",
        "pinned": f"server to core {SERVER[0]}, client to core {CLIENT[0]}" if CORES else "no",
    }


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)
