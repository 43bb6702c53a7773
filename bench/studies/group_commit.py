"""Measure the gain of group commits for one client and for many.

    python bench/studies/group_commit.py [--orders N] [--clients N] [--rounds N]

Orders pass through the storage port into a SQLite file, and each is durable when it is answered.
Rounds of one client and of many alternate. The output has medians of the rounds and the ratio to
one client, who has a commit for each order. The file is in the working folder, because a temporary
folder may be in memory, where a commit costs nothing.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from ordergate.application.ports.storage import Storage
from ordergate.domain.money import Money
from ordergate.domain.order import Order, OrderId, OrderLine, OrderStatus
from ordergate.domain.user import PasswordHash, UserId, Username
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container

LINES = (
    OrderLine("POT-1", "Teapot, 1 l", 1, Money.parse("64.00", "EUR")),
    OrderLine("CUP-2", "Cup", 4, Money.parse("12.50", "EUR")),
)


def new_orders(owner: UserId) -> Iterator[Order]:
    for i in count(1):
        yield Order(OrderId(i), owner, OrderStatus.PLACED, datetime.now(UTC), LINES)


async def orders_a_second(
    storage: Storage, orders: Iterator[Order], *, total: int, clients: int
) -> float:
    async def client() -> None:
        for _ in range(total // clients):
            order = next(orders)
            assert await storage.orders.add(order, owner=order.owner) == order

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return total // clients * clients / (time.perf_counter() - started)


async def measure(total: int, clients: int, rounds: int) -> dict[int, list[float]]:
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        storage = Container(settings=Settings(home=Path(folder))).storage()
        await storage.migrate()
        await storage.open()
        owner = await storage.users.add(Username("user"), PasswordHash("unusable"))
        orders = new_orders(owner.id)
        rates: dict[int, list[float]] = {1: [], clients: []}
        for _ in range(rounds):
            for at_once, measured in rates.items():
                measured.append(
                    await orders_a_second(storage, orders, total=total, clients=at_once)
                )
        await storage.close()
        return rates


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, add_help=True)
    arguments.add_argument("--orders", type=int, default=1024, help="orders in a round")
    arguments.add_argument("--clients", type=int, default=64, help="parallel clients")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    rates = asyncio.run(measure(options.orders, options.clients, options.rounds))
    base = statistics.median(rates[1])
    print("clients    orders/s   (min to max)      ratio")
    for clients, measured in rates.items():
        median = statistics.median(measured)
        span = f"({min(measured):.0f} to {max(measured):.0f})"
        print(f"{clients:7}    {median:8.0f}   {span:16}  {median / base:.2f}")


if __name__ == "__main__":
    main()
