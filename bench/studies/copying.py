"""The time of copying and verifying a database, and the memory.

    python -m bench.studies.copying [--orders N] [--lines N] [--to URL]

Seeds a SQLite file with an account for every hundred orders, and copies it as `ordergate copy`
does: into another SQLite file, or into the empty database of `--to`. The files are in the working
folder, because a temporary folder may be in memory.
"""

import argparse
import asyncio
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ordergate.application.maintenance.copy_storage import CopyStorage, Stage
from ordergate.domain.money import Money
from ordergate.domain.order import MAX_LINES, Order, OrderId, OrderLine, OrderStatus
from ordergate.domain.user import PasswordHash, User, UserId, Username
from ordergate.entrypoints.cli.commands.storage import make_copy_settings
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.databases import make_storage

START = datetime(2026, 1, 1, tzinfo=UTC)
PRICE = Money.parse("12.50", "EUR")
ORDERS_OF_A_USER = 100


def users(orders: int) -> Iterator[User]:
    for i in range(1, orders // ORDERS_OF_A_USER + 2):
        yield User(UserId(i), Username(f"user{i}"), PasswordHash("unusable"))


def new_orders(orders: int, lines: int | None) -> Iterator[Order]:
    for i in range(1, orders + 1):
        yield Order(
            OrderId(i),
            UserId(1 + i // ORDERS_OF_A_USER),
            OrderStatus.PLACED,
            START + timedelta(seconds=i),
            tuple(OrderLine(f"SKU-{n}", f"Cup {n}", 1, PRICE) for n in range(lines or 1 + i % 2)),
        )


def seed(url: str, orders: int, lines: int | None) -> None:
    async def run() -> None:
        source = make_storage(url, Settings())
        await source.migrate()
        assert source.loader
        await source.loader.load(users(orders), new_orders(orders, lines))
        await source.close()

    asyncio.run(run())


def seed_apart(url: str, orders: int, lines: int | None) -> None:
    """Seed in another process, so its memory does not count."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(seed, url, orders, lines).result()


async def measure(from_: str, to: str) -> dict[str, float]:
    settings = make_copy_settings(Settings())
    source, target = make_storage(from_, settings), make_storage(to, settings)
    await source.open()
    await target.migrate()
    await target.open(unfinished=True)
    began: dict[Stage, float] = {}

    def watch(stage: Stage, _done: int, _total: int) -> None:
        began.setdefault(stage, time.perf_counter())

    await CopyStorage(source, target)(watch=watch)
    ended = time.perf_counter()
    await source.close()
    await target.close()
    return {
        "copying": began[Stage.VERIFYING] - began[Stage.COPYING],
        "verifying": ended - began[Stage.VERIFYING],
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, add_help=True)
    arguments.add_argument("--orders", type=int, default=100_000)
    arguments.add_argument(
        "--lines", type=int, choices=range(1, MAX_LINES + 1), metavar="N",
        help="lines of each order; one and two in turn unless given",
    )  # fmt: skip
    arguments.add_argument("--to", metavar="URL", help="an empty database; SQLite unless given")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        source = f"sqlite:///{Path(folder) / 'source.db'}"
        target = options.to or f"sqlite:///{Path(folder) / 'target.db'}"
        seed_apart(source, options.orders, options.lines)
        seconds = asyncio.run(measure(source, target))
    for stage, each in seconds.items():
        print(f"{stage:9}  {each:7.1f} s  {options.orders / each:9,.0f} orders/s")
    print(f"memory     {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:7.0f} MiB")


if __name__ == "__main__":
    main()
