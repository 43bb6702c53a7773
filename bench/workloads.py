"""What is asked of the contestants, and of whom what."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.apps.sample import ORDERS, USERS
from bench.contestants import (
    ALL,
    CONSTANT,
    OURS,
    RAW,
    SERVICES,
    THIS,
    THIS_PG,
    UNGROUPED,
    Contestant,
)
from bench.load import Request
from bench.machine_limits import bcrypt_a_second
from bench.servers import Served, sign_in

PATHS = 500
"""How many different orders are read in turn."""
FLOOD = 16
"""Connections that sign in all the time: more than there are hashing threads."""
SMALL_FLOOD = 6
"""As many as those stand that stop at 15 at once, beside the 8 that read."""

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
    """Read orders of user1's from the first to the last, evenly spread. Each has two lines."""
    owned = max(1, orders // USERS)
    step = max(1, owned // PATHS)
    ids = [1 + USERS * k for k in range(0, owned, step)][:PATHS]
    return [Request(f"/order?id={i}", headers=_bearer(served), times=2) for i in ids]


def read_anothers(served: Served, _orders: int) -> list[Request]:
    """Read an order of user2's. An unknown route would be answered `Not Found`."""
    says = "order-not-found" if served.contestant.python == OURS else "Order not found"
    return [Request("/order?id=2", status=404, headers=_bearer(served), says=says)]


def bad_token(served: Served, _orders: int) -> list[Request]:
    last = "A" if served.token[-10] != "A" else "B"
    forged = {"Authorization": f"Bearer {served.token[:-10]}{last}{served.token[-9:]}"}
    return [Request("/order?id=1", status=401, headers=forged, times=0)]


def sign_ins(served: Served, _orders: int = ORDERS) -> list[Request]:
    """Sign all users in in turn: too many attempts at one account at once would be refused."""
    return [sign_in(served.contestant, number) for number in range(1, USERS + 1)]


def place(served: Served, _orders: int) -> list[Request]:
    headers = {**_bearer(served), "Content-Type": "application/json"}
    return [Request("/orders", 201, "POST", headers, NEW_ORDER, times=2)]


def list_page(served: Served, _orders: int) -> list[Request]:
    """List 50 orders of two lines each."""
    return [Request("/orders?limit=50", headers=_bearer(served), times=100)]


def mix(served: Served, orders: int) -> list[Request]:
    """90 % read, 8 % list, 2 % place, evenly mingled."""
    half = [*read_own(served, orders)[:45], *list_page(served, orders) * 4, *place(served, orders)]
    return [half[i * 7 % 50] for i in range(50)]


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests on so many connections, and who is asked them.

    With `flood`, sign-ins go on beside them. `longer` is how many times as long the load is where
    answers are few, since one that is under way at its end is not counted. `quick` ones are in
    `make bench-quick`. `machine` is what the machine alone comes to in so many seconds, measured in
    turn with the servers.
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
    (Workload("read-anothers", "read another's order (404)", read_anothers, SERVICES),),
    (Workload("bad-token", "a forged token (401)", bad_token, SERVICES),),
    (Workload("list", "list a page of 50", list_page, SERVICES),),
    (Workload("place", "place an order", place, SERVICES),),
    (
        Workload(
            "place-64", "place an order, 64 connections", place, (THIS, THIS_PG, UNGROUPED), 64
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
"""Those of one row are asked in turn, and share their servers."""
