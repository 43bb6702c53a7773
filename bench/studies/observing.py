"""The cost of the access log, metrics and traces for own-order reads.

    python -m bench.studies.observing [--rounds N]

Each setting has a process, which reads through the whole application on a SQLite file. The
processes work in turn, on one core, a few reads at a time, so a disturbance of the machine affects
all. The output has the time of a read that a quarter of the rounds fell below, and its ratio to a
process with nothing. Without sockets, the shares are larger than clients see. Spans are sent to an
address where nothing listens.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.harness.load import SERVER, on_cores
from bench.studies.revocation import PASSWORD, Reader
from ordergate.entrypoints.config.logs import configure_logging
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories.observability.metrics import measure as add_metrics
from ordergate.entrypoints.factories.observability.telemetry import trace
from ordergate.entrypoints.http.app import create_app

SETTINGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "access log": {"access_log": True},
    "metrics": {"metrics_port": 9464},
    "traces 0%": {"telemetry": "otlp"},
    "traces 1%": {"telemetry": "otlp"},
    "traces all": {"telemetry": "otlp"},
}
SAMPLES = {"traces 1%": "0.01", "traces all": "1"}
READS = 40


async def answer_rounds(home: Path, changes: dict[str, Any]) -> None:
    """Read one round for each line of standard input."""
    settings = Settings(home=home, bcrypt_cost=4, **{"access_log": False, **changes})
    configure_logging(settings, buffered=True)
    reader = Reader(home, 10)
    reader.container = Container(settings=settings)
    observers, lifespan = add_metrics(reader.container)
    begin_span, lifespan = trace(reader.container, [lifespan])
    reader.app = create_app(
        reader.container, lifespan=lifespan, observers=observers, begin_span=begin_span
    )
    async with reader.app.router.lifespan_context(reader.app):
        await reader.sign_in()
        await reader.reads_a_second(10 * READS)
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            started = time.perf_counter()
            await reader.reads_a_second(READS)
            print((time.perf_counter() - started) / READS, flush=True)


async def prepare(home: Path) -> None:
    container = Container(settings=Settings(home=home, bcrypt_cost=4))
    await container.storage().migrate()
    await container.storage().open()
    await container.seed_storage()(users=2, orders=100, password=PASSWORD)
    await container.storage().close()


def measure(rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in SETTINGS}
    with ExitStack() as closing:
        home = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        asyncio.run(prepare(home))
        readers = {}
        for name in SETTINGS:
            values = home / name
            values.mkdir()
            reader = subprocess.Popen(  # noqa: S603 - this file
                [
                    *(*on_cores(SERVER), sys.executable, "-m", "bench.studies.observing"),
                    *("--home", str(home), "--with", name),
                ],
                env=os.environ
                | {
                    "PROMETHEUS_MULTIPROC_DIR": str(values),
                    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
                    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                    "OTEL_TRACES_SAMPLER_ARG": SAMPLES.get(name, "0"),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(home / f"{name}.log").open("w"),
                text=True,
            )
            readers[name] = closing.enter_context(reader)
            _ask(reader, "")
        for _ in range(rounds):
            for name, reader in readers.items():
                seconds[name].append(float(_ask(reader, "\n")))
    return seconds


def _ask(reader: "subprocess.Popen[str]", line: str) -> str:
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write(line)
    reader.stdin.flush()
    return reader.stdout.readline()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, add_help=True)
    arguments.add_argument("--rounds", type=int, default=200)
    arguments.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--with", choices=SETTINGS, dest="setting", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.home:
        asyncio.run(answer_rounds(options.home, SETTINGS[options.setting]))
        return
    quarters = {
        name: statistics.quantiles(seconds)[0] for name, seconds in measure(options.rounds).items()
    }
    print("with            µs a read   ratio")
    for name, seconds in quarters.items():
        print(f"{name:14}  {seconds * 1e6:9.0f}   {seconds / quarters['nothing']:.2f}")


if __name__ == "__main__":
    main()
