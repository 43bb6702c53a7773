"""Losses of the leader under Patroni: what was acknowledged is there, once.

    make crash-patroni                  # 10 losses; CRASH="--losses 4" for fewer
    python -m tests.crash.patroni_failovers --losses 10
    python -m tests.crash.patroni_failovers --second-loss
    python -m tests.crash.patroni_failovers --second-loss --strict

In turn, PostgreSQL of the leader is killed, and its whole machine: Patroni and PostgreSQL with all
their processes. `--second-loss` loses the next leader while no standby is named. All nodes are
on one machine, so a lost one closes its connections, and the network is fast.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.crash.crashes import crash, prepare
from tests.crash.patroni_cluster import SETTINGS as CLUSTER_SETTINGS
from tests.crash.patroni_cluster import Node, PatroniCluster, run_cluster
from tests.support.databases.database_server import NoServerError
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

PROCESS, MACHINE = "PostgreSQL of the leader", "the machine of the leader"
LEADERLESS_SECONDS = 2 * CLUSTER_SETTINGS["ttl"]


@dataclass
class Service:
    """Ordergate with a cluster, and what its clients know."""

    ledger: Ledger
    token: dict[str, str]

    def judge(self) -> str:
        """Compare what is stored with what was acknowledged."""
        found = asyncio.run(list_stored_orders(self.ledger.url, self.token))
        failures = ", ".join(f"{times} {name}" for name, times in self.ledger.failures.items())
        return f"{check_ledger(self.ledger, found)}; other answers: {failures or 'none'}"


@contextmanager
def serve(folder: Path, cluster: PatroniCluster) -> Iterator[Service]:
    """Serve orders from a cluster."""
    prepare(folder, DATABASE_URL=cluster.url)
    server = Server.start("serve", "--workers", 2, cwd=folder, DATABASE_URL=cluster.url, **SETTINGS)
    try:
        yield Service(Ledger(url=server.url), sign_in_user1(server.url))
    finally:
        server.stop()


def lose_leaders(folder: Path, losses: int) -> str:
    """Lose the leader in both ways in turn; return what was seen."""
    lost: list[tuple[str, float]] = []
    with run_cluster() as cluster, serve(folder, cluster) as service:

        def lose_and_recover() -> None:
            leader, what = cluster.leader(), (PROCESS, MACHINE)[len(lost) % 2]
            lost.append((what, time.monotonic()))
            if what == PROCESS:
                leader.kill_postgres()
                _wait_for_an_order(cluster, service.ledger)
            else:
                leader.kill()
                cluster.wait(lambda: cluster.find("leader") not in {None, leader}, "no leader")
                _wait_for_an_order(cluster, service.ledger)
                leader.start()
            cluster.wait_until_complete()

        asyncio.run(crash(service.ledger, service.token, losses, lose_and_recover))
        verdict = service.judge()
    stops = [
        f"{what} {count} times: writes stopped for at most {longest:.1f} s"
        for what, count, longest in measure_stops(lost, service.ledger.times)
    ]
    return "; ".join([f"{losses} losses under Patroni: {verdict}", *stops])


def lose_twice(folder: Path, *, strict: bool) -> str:
    """Lose the leader while no standby is named; return what was seen.

    A standby is away when the first leader is lost, so the next one has no standby. It is lost,
    too, and the others return before it does.
    """
    with run_cluster(strict=strict) as cluster, serve(folder, cluster) as service:
        first, away = cluster.leader(), _find_replica(cluster)
        asyncio.run(_place(service, lambda: len(service.ledger.times) > 100))
        away.kill()
        first.kill()
        cluster.wait(lambda: cluster.find("leader") not in {None, first}, "no leader")
        second = cluster.leader()
        before, failed = len(service.ledger.times), service.ledger.failures.total()
        until = time.monotonic() + LEADERLESS_SECONDS
        asyncio.run(_place(service, lambda: time.monotonic() > until))
        alone = len(service.ledger.times) - before
        unknown = service.ledger.failures.total() - failed
        second.kill()
        for node in (first, away):
            node.start()
        until = time.monotonic() + LEADERLESS_SECONDS
        promoted = None
        while promoted is None and time.monotonic() < until:
            promoted = cluster.find("leader")
            promoted = None if promoted is second else promoted
            time.sleep(0.2)
        second.start()
        cluster.wait_until_complete()
        verdict = service.judge()
    return (
        f"The next leader without a standby, {'strict' if strict else 'not strict'}: it"
        f" acknowledged {alone} orders, and {unknown} answers were others; after its loss"
        f" {'another was promoted' if promoted else 'no other was promoted'}"
        f" within {LEADERLESS_SECONDS} s; when it was back: {verdict}"
    )


async def _place(service: Service, is_over: Callable[[], bool]) -> None:
    """Let clients place orders until a condition holds."""
    ledger = service.ledger
    ledger.stop = False
    # Names of other orders than those of an earlier call.
    start = 1_000 * len(ledger.times)
    clients = [
        asyncio.create_task(client(start + number, ledger, service.token))
        for number in range(CLIENTS)
    ]
    try:
        while not is_over():
            assert not ledger.refused, ledger.refused[:3]
            await asyncio.sleep(0.05)
    finally:
        ledger.stop = True
        await asyncio.gather(*clients)


def _find_replica(cluster: PatroniCluster) -> Node:
    replica = cluster.find("replica")
    assert replica is not None
    return replica


def _wait_for_an_order(cluster: PatroniCluster, ledger: Ledger) -> None:
    before = len(ledger.times)
    cluster.wait(lambda: len(ledger.times) > before + CLIENTS, "no order is acknowledged")


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(description="Lose leaders and see that no order is lost.")
    parser.add_argument("--losses", type=int, default=10)
    parser.add_argument("--second-loss", action="store_true", help="lose the next leader, too")
    parser.add_argument("--strict", action="store_true", help="with synchronous_mode_strict")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        try:
            if options.second_loss:
                seen = lose_twice(Path(folder), strict=options.strict)
            else:
                seen = lose_leaders(Path(folder), options.losses)
        except NoServerError as error:
            sys.exit(f"NOT run: {error}")
        sys.stdout.write(f"{seen}\n")


if __name__ == "__main__":
    main()
