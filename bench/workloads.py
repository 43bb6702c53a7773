"""What is asked of the contestants, and of whom what."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.apps.sample import ORDERS, USERS
from bench.contestants import (
    ALL,
    CONSTANT,
    PEER,
    RAW,
    THIS,
    THIS_PG,
    TUTORIAL,
    TUTORIAL_PG,
    Contestant,
    Served,
    sign_in,
)
from bench.load import Request

SERVICES = (THIS, THIS_PG, TUTORIAL, TUTORIAL_PG, PEER)
PATHS = 500
"""How many different orders are read in turn."""
FLOOD = 16
"""Connections that sign in all the time: more than there are hashing threads."""

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


def read_own(served: Served, orders: int = ORDERS) -> list[Request]:
    """Read orders of user1's from the first to the last, evenly spread."""
    owned = max(1, orders // USERS)
    step = max(1, owned // PATHS)
    ids = [1 + USERS * k for k in range(0, owned, step)][:PATHS]
    return [Request(f"/order?id={i}", headers=_bearer(served)) for i in ids]


def read_anothers(served: Served) -> list[Request]:
    return [Request("/order?id=2", status=404, headers=_bearer(served))]


def bad_token(served: Served) -> list[Request]:
    last = "A" if served.token[-10] != "A" else "B"
    forged = served.token[:-10] + last + served.token[-9:]
    return [Request("/order?id=1", status=401, headers={"Authorization": f"Bearer {forged}"})]


def sign_ins(served: Served) -> list[Request]:
    return [sign_in(served.contestant)]


def place(served: Served) -> list[Request]:
    headers = {**_bearer(served), "Content-Type": "application/json"}
    return [Request("/orders", status=201, method="POST", headers=headers, body=NEW_ORDER)]


def list_page(served: Served) -> list[Request]:
    return [Request("/orders?limit=50", headers=_bearer(served))]


def mix(served: Served) -> list[Request]:
    """90 % read, 8 % list, 2 % place, evenly mingled."""
    half = [*read_own(served)[:45], *list_page(served) * 4, *place(served)]
    return [half[i * 7 % 50] for i in range(50)]


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests on so many connections, and who is asked them.

    With `flood`, sign-ins go on beside them. `quick` ones are in `make bench-quick`.
    """

    name: str
    what: str
    requests: Callable[[Served], list[Request]]
    contestants: Sequence[Contestant]
    connections: int = 8
    flood: bool = False
    all_cores: bool = False
    quick: bool = False


# A tutorial-style service holds a connection of its pool of 15 until the answer is sent, and waits
# for one in the event loop: more requests at once than that stop it. So it is asked on 8.
WORKLOADS = (
    Workload("read-8", "read own order", read_own, ALL, quick=True),
    Workload("read-64", "read own order, 64 connections", read_own, (THIS, RAW, CONSTANT), 64),
    Workload("read-512", "read own order, 512 connections", read_own, (THIS, RAW, CONSTANT), 512),
    Workload("read-anothers", "read another's order (404)", read_anothers, SERVICES),
    Workload("bad-token", "a forged token (401)", bad_token, SERVICES),
    Workload("list", "list a page of 50", list_page, SERVICES),
    Workload("place", "place an order", place, SERVICES),
    Workload("place-64", "place an order, 64 connections", place, (THIS, THIS_PG), 64),
    Workload("mix", "90 % read, 8 % list, 2 % place", mix, SERVICES),
    Workload("sign-in", "sign in", sign_ins, SERVICES),
    Workload("sign-in-all", "sign in, all cores", sign_ins, (THIS,), FLOOD, all_cores=True),
    Workload("read-flood", "read own order while sign-ins flood", read_own, SERVICES, flood=True),
)
