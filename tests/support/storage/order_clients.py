"""Clients that place orders without pause, and what they know."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx2

from tests.support.program.command import PASSWORD, PATIENT

CLIENTS = 8


_ATTEMPTS = 5


SETTINGS: dict[str, Any] = {"BCRYPT_COST": 4, "ACCESS_TOKEN_SECONDS": 86_400, **PATIENT}


@dataclass
class Ledger:
    """The ids of acknowledged orders by their SKU, and other attempts.

    `times` has when each was acknowledged, and `failures` counts the answers to the `unheard`.
    """

    acknowledged: dict[str, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    unheard: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    url: str = ""
    stop: bool = False


async def client(number: int, ledger: Ledger, token: dict[str, str]) -> None:
    """Place one order after the other, each until it is acknowledged.

    Every fourth goes without a key and is asked for once: it may be there or not, but not twice.
    """
    wish = 0
    async with httpx2.AsyncClient(timeout=10) as http:
        while not ledger.stop:
            wish += 1
            sku = f"{number}-{wish}"
            key = {"Idempotency-Key": f'"{sku}"'} if wish % 4 else {}
            line = {"sku": sku, "name": "Teapot", "quantity": 1, "unit_price": "1.00"}
            order = {"currency": "EUR", "lines": [line]}
            while not ledger.stop:
                try:
                    answer = await http.post(
                        f"{ledger.url}/orders", json=order, headers={**token, **key}
                    )
                except httpx2.TransportError:
                    answer = None
                if answer is not None and answer.status_code == 201:
                    ledger.acknowledged[sku] = answer.json()["id"]
                    ledger.times.append(time.monotonic())
                    break
                if answer is not None and answer.status_code != 503:
                    ledger.refused.append(answer.text)
                    return
                ledger.unheard.add(sku)
                ledger.failures[_name_failure(answer)] += 1
                if not key:
                    break
                await asyncio.sleep(0.02)


def _name_failure(answer: httpx2.Response | None) -> str:
    if answer is None:
        return "no answer"
    later = " with Retry-After" if "Retry-After" in answer.headers else ""
    return f"{answer.status_code} {answer.json()['type'].rpartition(':')[2]}{later}"


async def list_stored_orders(url: str, token: dict[str, str]) -> list[tuple[str, int]]:
    """List every order: its SKU and its id.

    503 asks to try again, as each worker does once after its file was replaced.
    """
    found: list[tuple[str, int]] = []
    async with httpx2.AsyncClient(base_url=url, headers=token, timeout=30) as http:
        path = "/orders?limit=200"
        while path:
            answer = await http.get(path)
            for _ in range(_ATTEMPTS):
                if answer.status_code == 503:
                    answer = await http.get(path)
            assert answer.status_code == 200, answer.text
            found += [(each["lines"][0]["sku"], each["id"]) for each in answer.json()["orders"]]
            path = answer.links.get("next", {}).get("url", "")
    return found


def check_ledger(ledger: Ledger, found: list[tuple[str, int]]) -> str:
    """Hold what is stored against what was acknowledged, and say so."""
    assert not ledger.refused, ledger.refused[:3]
    doubled = [sku for sku, times in Counter(sku for sku, _ in found).items() if times > 1]
    assert not doubled, f"{len(doubled)} orders are doubled, such as {doubled[:3]}"
    by_sku = dict(found)
    lost = [sku for sku, order_id in ledger.acknowledged.items() if by_sku.get(sku) != order_id]
    assert not lost, f"{len(lost)} acknowledged orders are lost, such as {lost[:3]}"
    strangers = by_sku.keys() - ledger.acknowledged.keys() - ledger.unheard
    assert not strangers, f"{len(strangers)} orders were never wished for"
    return f"{len(ledger.acknowledged)} orders acknowledged, none lost, none doubled"


def measure_stops(
    lost: list[tuple[str, float]], times: list[float]
) -> Iterator[tuple[str, int, float]]:
    """Yield each kind of loss, its number and its longest stop.

    Times are in seconds.
    """
    ends = [at for _, at in lost[1:]] + [float("inf")]
    stops: dict[str, list[float]] = {}
    for (what, at), end in zip(lost, ends, strict=True):
        stop = max(b - a for a, b in pairwise(times) if b > at and a < end)
        stops.setdefault(what, []).append(stop)
    for what, each in stops.items():
        yield what, len(each), max(each)


def sign_in_user1(url: str) -> dict[str, str]:
    """Sign user1 in."""
    form = {"username": "user1", "password": PASSWORD}
    answer = httpx2.post(f"{url}/login", data=form, timeout=30)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}
