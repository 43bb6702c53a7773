"""One run: starts the contestants and measures the workloads."""

import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bench.harness import load
from bench.harness.contestants import WITHOUT_SERVER, Contestant
from bench.harness.databases import Databases
from bench.harness.load import CLIENT, CORES, SERVER, WRK, Failed, Unavailable
from bench.harness.machine_limits import measure_memory, seconds_to_import, settle
from bench.harness.servers import Served, serving, started
from bench.harness.workloads import FLOOD, SMALL_FLOOD, WORKLOADS, Workload, read_own, sign_ins
from bench.report.report import Figure, Report

START_UP, MEMORY = "start-up", "memory"
NAMES = (*(workload.name for row in WORKLOADS for workload in row), START_UP, MEMORY)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run.

    `only` has names of workloads, whole or up to a hyphen.

    Without names, all workloads are measured, or the quick ones if `quick`. `seconds` is the time
    of one load.
    """

    quick: bool
    only: tuple[str, ...]
    seconds: float
    rounds: int
    growth: bool

    def wants(self, name: str, *, quick: bool = False) -> bool:
        if self.only:
            return any(named(one, name) for one in self.only)
        return quick or not self.quick


def named(given: str, name: str) -> bool:
    return f"{name}-".startswith(f"{given}-")


@dataclass(frozen=True, slots=True)
class Turn:
    """One measurement of a round; `once` returns a value for each unit."""

    workload: str
    what: str
    contestant: str
    who: str
    once: Callable[[], dict[str, float]]


def measure(options: Options) -> Report:
    """Measure the workloads of the options until the end or an interruption."""
    report = Report(_machine(options))
    # Not in the system's temporary folder: it may be in memory, where a commit costs nothing.
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder,
        ExitStack() as end,
    ):
        databases = Databases(Path(folder))
        end.callback(databases.close)
        try:
            Run(options, databases, report).all()
        except KeyboardInterrupt:
            report.interrupted = True
        report.machine["databases"] = f"SQLite {sqlite3.sqlite_version}, {databases.versions}"
    return report


class Run:
    """Fills a report."""

    def __init__(self, options: Options, databases: Databases, report: Report) -> None:
        self.options = options
        self.databases = databases
        self.report = report

    def all(self) -> None:
        for row in WORKLOADS:
            wanted = [one for one in row if self.options.wants(one.name, quick=one.quick)]
            if not self.options.growth and any(one.orders > 10**6 for one in wanted):
                self.report.missing.append("growth to 10^7 orders: left out as asked")
                wanted = [one for one in wanted if one.orders <= 10**6]
            if wanted:
                self.ask(wanted)
        if self.options.wants(START_UP):
            self.start_up()
        if self.options.wants(MEMORY):
            self.memory()

    def ask(self, workloads: Sequence[Workload]) -> None:
        """Measure the contestants of the workloads in turn, round after round."""
        _say(", ".join(workload.name for workload in workloads))
        self.databases.prepare(
            (contestant, workload.orders)
            for workload in workloads
            for contestant in workload.contestants
        )
        with ExitStack() as servers:
            running: dict[tuple[object, ...], Served] = {}
            turns: list[Turn] = []
            for workload in workloads:
                cores = CORES if workload.all_cores else SERVER
                for who in workload.contestants:
                    with self._telling(f"{workload.name} of {who.name}"):
                        key = who.name, workload.orders, workload.workers, workload.all_cores
                        if key not in running:
                            home = self.databases.copy(who, workload.orders)
                            running[key] = servers.enter_context(
                                serving(who, home, cores, workers=workload.workers)
                            )
                            settle(running[key].pid)  # this project checks a large file first
                        requests = workload.requests(running[key], workload.orders)
                        kinds = {(one.method, one.path.partition("?")[0]): one for one in requests}
                        for request in kinds.values():
                            running[key].ask(request)
                        once = partial(self._load, workload, running[key])
                        turns.append(_turn(workload.name, workload.what, who, once))
                if (machine := workload.machine) is not None:
                    once = partial(_alone, machine, self.options.seconds)
                    turns.append(
                        Turn(workload.name, workload.what, "machine", "the machine alone", once)
                    )
            self.in_turn(turns)

    def in_turn(self, turns: list[Turn]) -> None:
        """Measure in rounds; a contestant that fails once is skipped afterwards."""
        values: dict[Turn, dict[str, list[float]]] = {turn: defaultdict(list) for turn in turns}
        try:
            for number in range(1, self.options.rounds + 1):
                _say(f"    round {number} of {self.options.rounds}")
                going, turns = turns, []
                for turn in going:
                    with self._telling(f"{turn.workload} of {turn.contestant}"):
                        for unit, value in turn.once().items():
                            values[turn][unit].append(value)
                        turns.append(turn)
        finally:
            self.report.figures += (
                Figure(turn.workload, turn.what, turn.contestant, turn.who, unit, tuple(rounds))
                for turn, units in values.items()
                for unit, rounds in units.items()
            )

    def _load(self, workload: Workload, served: Served) -> dict[str, float]:
        requests = workload.requests(served, workload.orders)
        seconds = self.options.seconds * workload.longer
        cores = CORES if workload.all_cores else CLIENT
        ask = partial(load.Running, served.url, cores=cores)
        with ExitStack() as ends:
            flooding = FLOOD if served.contestant.stands > FLOOD else SMALL_FLOOD
            floods = [
                ask(flood, connections=flooding, seconds=seconds + 2)
                for flood in [sign_ins(served)] * workload.flood
            ]
            running = ask(requests, connections=workload.connections, seconds=seconds)
            for one in (running, *floods):
                ends.callback(one.stop)
            try:
                loaded = running.result()
            except Unavailable:
                served.ask(requests[0])
                raise
            for one in floods:
                with suppress(Unavailable):  # it is the reads that are measured
                    one.result()
        if floods:
            settle(served.pid)  # the remains of the flood must not disturb the next measurement
        served.ask(requests[0])
        return {
            "/s": loaded.rate,
            "ms p50": loaded.p50,
            "ms p99": loaded.p99,
            "client cores": loaded.client,
        }

    def start_up(self) -> None:
        """Measure each start until the first answer, and the common imports alone."""
        _say(START_UP)
        what = "start-up to the first answer"
        turns = [
            Turn(START_UP, what, "imports", "import fastapi, sqlmodel", _importing),
            *(_turn(START_UP, what, who, partial(self._start, who)) for who in WITHOUT_SERVER),
        ]
        self.in_turn(turns)

    def _start(self, who: Contestant) -> dict[str, float]:
        home = self.databases.copy(who)
        began = time.perf_counter()
        with started(who, home, CORES):
            return {"s": time.perf_counter() - began}

    def memory(self) -> None:
        """Measure the memory of each contestant before and after the reads."""
        _say(MEMORY)
        what = "memory of a worker after reads; idle"
        self.in_turn(
            [_turn(MEMORY, what, who, partial(self._memory, who)) for who in WITHOUT_SERVER]
        )

    def _memory(self, who: Contestant) -> dict[str, float]:
        with serving(who, self.databases.copy(who), SERVER) as served:
            idle = measure_memory(served.pid)
            self._load(Workload(MEMORY, "", read_own, (who,), who.stands), served)
            return {"MiB": measure_memory(served.pid), "MiB idle": idle}

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Record a failure and continue with the rest of the run."""
        try:
            yield
        except Unavailable as reason:
            self.report.missing.append(f"{what}: {reason}")
        except Failed as reason:
            self.report.failed.append(f"{what}: {reason}")


def _turn(name: str, what: str, who: Contestant, once: Callable[[], dict[str, float]]) -> Turn:
    return Turn(name, what, who.name, who.what, once)


def _alone(machine: Callable[[float], float], seconds: float) -> dict[str, float]:
    return {"/s": machine(seconds)}


def _importing() -> dict[str, float]:
    return {"s": seconds_to_import()}


def _machine(options: Options) -> dict[str, str]:
    load_average = " ".join(f"{average:.2f}" for average in os.getloadavg())
    packages = ("fastapi", "uvicorn", "starlette", "pydantic", "sqlmodel", "sqlalchemy")
    asked = " ".join(options.only) or ("quick" if options.quick else "everything")
    return {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "measured": f"{asked}; {options.rounds} rounds of {options.seconds:g} s",
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load average before": load_average,
        "python": platform.python_version(),
        "packages": ", ".join(f"{package} {version(package)}" for package in packages),
        "client": "wrk" if WRK else "bench/harness/client.py (slower than some servers)",
        "pinned": f"server to core {SERVER[0]}, client to core {CLIENT[0]}" if CORES else "no",
    }


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)
