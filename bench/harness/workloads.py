"""The workloads: requests and their contestants."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.apps.sample import ORDERS, USERS
from bench.harness.contestants import (
    ALL,
    CONSTANT,
    OURS,
    RAW,
    SERVICES,
    THIS,
    THIS_MARIADB,
    THIS_METRICS,
    THIS_PG,
    THIS_TRACES,
    UNGROUPED,
    Contestant,
)
from bench.harness.load import Request
from bench.harness.machine_limits import bcrypt_a_second
from bench.harness.servers import Served, sign_in

PATHS = 500
"""The number of different orders that are read in turn."""
FLOOD = 16
"""Connections that sign in permanently: more than there are hashing threads."""
SMALL_FLOOD = 6
"""The flood for contestants that stop at 15 connections, beside 8 that read."""

NEW_ORDER = json.dumps(
    {
        "currency": "EUR",
        "lines": [
            {"sku": "POT-1", "name": "Teapot, 1 l", "quantity": 1, "unit_price": "64.00"},
            {"sku": "CUP-2", "name": "Cup", "quantity": 4, "unit_price": "12.50"},
        ],
    }
)


def _bearer(served: Served) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.token}"}


def read_own(served: Served, orders: int) -> list[Request]:
    """Read orders of user1, evenly spread from first to last.

    Each order has two lines.
    """
    owned = max(1, orders // USERS)
    step = max(1, owned // PATHS)
    ids = [1 + USERS * k for k in range(0, owned, step)][:PATHS]
    return [Request(f"/order?id={i}", headers=_bearer(served), times=2) for i in ids]


def read_anothers(served: Served, _orders: int) -> list[Request]:
    """Read an order of user2.

    An unknown route would be answered `Not Found`.
    """
    says = "order-not-found" if served.contestant.python == OURS else "Order not found"
    return [Request("/order?id=2", status=404, headers=_bearer(served), says=says)]


def bad_token(served: Served, _orders: int) -> list[Request]:
    last = "A" if served.token[-10] != "A" else "B"
    forged = {"Authorization": f"Bearer {served.token[:-10]}{last}{served.token[-9:]}"}
    return [Request("/order?id=1", status=401, headers=forged, times=0)]


def sign_ins(served: Served, _orders: int = ORDERS) -> list[Request]:
    """Sign in all users in turn.

    Parallel attempts at one account are refused.
    """
    return [sign_in(served.contestant, number) for number in range(1, USERS + 1)]


def place(served: Served, _orders: int) -> list[Request]:
    headers = {**_bearer(served), "Content-Type": "application/json"}
    return [Request("/orders", 201, "POST", headers, NEW_ORDER, times=2)]


def list_page(served: Served, _orders: int) -> list[Request]:
    """List 50 orders of two lines each."""
    return [Request("/orders?limit=50", headers=_bearer(served), times=100)]


def mix(served: Served, orders: int) -> list[Request]:
    """90 % read, 8 % list, 2 % place, evenly mixed."""
    half = [*read_own(served, orders)[:45], *list_page(served, orders) * 4, *place(served, orders)]
    return [half[i * 7 % 50] for i in range(50)]


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests on a number of connections, and the contestants that get them.

    `flood` runs sign-ins beside them. `longer` multiplies the time of a load with few answers,
    because unfinished answers do not count. `quick` workloads are in `make bench-quick`. `machine`
    returns the machine's own rate for a number of seconds, measured in turn with the servers.
    """

    name: str
    what: str
    requests: Callable[[Served, int], list[Request]]
    contestants: Sequence[Contestant]
    connections: int = 8
    flood: bool = False
    all_cores: bool = False
    workers: int = 1
    orders: int = ORDERS
    longer: int = 1
    quick: bool = False
    machine: Callable[[float], float] | None = None


READERS = (THIS, RAW, CONSTANT)
WORKLOADS = (
    (
        Workload("read-8", "read own order", read_own, ALL, quick=True),
        Workload("read-64", "read own order, 64 connections", read_own, READERS, 64),
        Workload("read-512", "read own order, 512 connections", read_own, READERS, 512, quick=True),
        Workload(
            "read-flood", "read own order while sign-ins flood", read_own, SERVICES, flood=True
        ),
    ),
    (
        Workload(
            "observed", "read own order, observed", read_own, (THIS, THIS_METRICS, THIS_TRACES)
        ),
    ),
    (Workload("read-anothers", "read another's order (404)", read_anothers, SERVICES),),
    (Workload("bad-token", "a forged token (401)", bad_token, SERVICES),),
    (Workload("list", "list a page of 50", list_page, SERVICES),),
    (Workload("place", "place an order", place, SERVICES),),
    (
        Workload(
            "place-64",
            "place an order, 64 connections",
            place,
            (THIS, THIS_PG, THIS_MARIADB, UNGROUPED),
            64,
        ),
    ),
    (Workload("mix", "90 % read, 8 % list, 2 % place", mix, SERVICES),),
    (Workload("sign-in", "sign in", sign_ins, SERVICES, longer=2),),
    (
        Workload(
            "sign-in-all",
            "sign in, all cores",
            sign_ins,
            (THIS,),
            FLOOD,
            all_cores=True,
            longer=4,
            machine=bcrypt_a_second,
        ),
    ),
    tuple(
        Workload(
            f"workers-{workers}",
            f"read own order, workers: {workers}, all cores",
            read_own,
            (THIS, CONSTANT),
            64,
            all_cores=True,
            workers=workers,
        )
        for workers in (1, 2)
    ),
    tuple(
        Workload(
            f"growth-{orders}", f"read own order of {orders:,}", read_own, (THIS,), orders=orders
        )
        for orders in (1_000, 100_000, 10_000_000)
    ),
)
"""The workloads. Those of one row are measured in turn and share their servers."""
