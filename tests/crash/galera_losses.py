"""Losses of Galera nodes: what was acknowledged is there, once.

    make crash-galera                   # 10 losses; CRASH="--losses 4" for fewer
    python -m tests.crash.galera_losses --losses 10

Two hosts of the service place orders of one user, each at a node of its own. Each node is killed in
turn, and returns before the next one is killed. All nodes are on one machine, so a lost one closes
its connections, and the network is fast.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.crash.crashes import prepare
from tests.support.databases.galera import GaleraCluster, GaleraNode, provider
from tests.support.databases.mariadb import fetch, program
from tests.support.program.server import Server
from tests.support.storage.order_clients import (
    CLIENTS,
    SETTINGS,
    Ledger,
    check_ledger,
    client,
    list_stored_orders,
    measure_stops,
    sign_in_user1,
)

SECONDS = 120
_HOSTS = ((0, 1, 2), (1, 2, 0))
"""The nodes of each host of the service, in the order of its URL."""


@contextmanager
def serve(folder: Path, cluster: GaleraCluster) -> Iterator[list[Ledger]]:
    """Serve orders from both hosts, with one key."""
    prepare(folder, DATABASE_URL=cluster.url(0))
    servers: list[Server] = []
    try:
        for nodes in _HOSTS:
            url = cluster.url(*nodes)
            servers.append(Server.start("serve", cwd=folder, DATABASE_URL=url, **SETTINGS))
        yield [Ledger(url=server.url) for server in servers]
    finally:
        for server in servers:
            server.stop()


def lose_nodes(folder: Path, program: Path, library: Path, losses: int) -> str:
    """Kill each node in turn; return what was seen."""
    with (
        GaleraCluster(program, library, durable=True).running() as cluster,
        serve(folder, cluster) as ledgers,
    ):
        token = sign_in_user1(ledgers[0].url)
        lost = asyncio.run(_lose_in_turn(cluster, ledgers, token, losses))
        found = asyncio.run(list_stored_orders(ledgers[0].url, token))
    whole = Ledger(
        acknowledged={sku: number for each in ledgers for sku, number in each.acknowledged.items()},
        unheard={sku for each in ledgers for sku in each.unheard},
        refused=[text for each in ledgers for text in each.refused],
    )
    longest = max(stop for each in ledgers for _, _, stop in measure_stops(lost, each.times))
    failures = sum((each.failures for each in ledgers), start=type(whole.failures)())
    others = ", ".join(f"{times} {name}" for name, times in failures.items()) or "none"
    return (
        f"{losses} losses of a Galera node: {check_ledger(whole, found)};"
        f" writes stopped for at most {longest:.1f} s; other answers: {others}"
    )


async def _lose_in_turn(
    cluster: GaleraCluster, ledgers: list[Ledger], token: dict[str, str], losses: int
) -> list[tuple[str, float]]:
    """Kill nodes while clients of both hosts place orders."""
    lost: list[tuple[str, float]] = []
    clients = [
        asyncio.create_task(client(number, ledgers[number % len(ledgers)], token))
        for number in range(CLIENTS)
    ]
    try:
        await _wait_for_orders(ledgers)
        for _, node in zip(range(losses), cycle(cluster.nodes)):
            lost.append(("a node", time.monotonic()))
            await asyncio.to_thread(node.kill)
            await _wait_for_orders(ledgers)
            await asyncio.to_thread(node.start)
            await _wait_for_members(node)
            await _wait_for_orders(ledgers)
    finally:
        for ledger in ledgers:
            ledger.stop = True
        await asyncio.gather(*clients)
    return lost


async def _wait_for_orders(ledgers: list[Ledger]) -> None:
    """Wait until each host has placed more orders."""
    before = [len(ledger.times) for ledger in ledgers]
    async with asyncio.timeout(SECONDS):
        while any(
            len(ledger.times) <= number + CLIENTS
            for ledger, number in zip(ledgers, before, strict=True)
        ):
            assert not any(ledger.refused for ledger in ledgers), ledgers[0].refused[:3]
            await asyncio.sleep(0.02)


async def _wait_for_members(node: GaleraNode) -> None:
    """Wait until a node sees all others."""
    async with asyncio.timeout(SECONDS):
        while await fetch(node.url(), "SHOW STATUS LIKE 'wsrep_cluster_size'") != [
            ("wsrep_cluster_size", "3")
        ]:
            await asyncio.sleep(0.1)


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(description="Lose nodes and see that no order is lost.")
    parser.add_argument("--losses", type=int, default=10)
    losses = parser.parse_args().losses
    with TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        try:
            seen = lose_nodes(Path(folder), program(), provider(), losses)
        except pytest.skip.Exception as missing:
            sys.exit(f"NOT run: {missing}")
        sys.stdout.write(f"{seen}\n")


if __name__ == "__main__":
    main()
