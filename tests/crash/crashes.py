"""Crashes while clients place orders: what was acknowledged is there, once.

    make crash                  # 200 kills each; CRASH="--kills 20" for fewer
    python -m tests.crash.crashes --kills 200
    python -m tests.crash.crashes --kills 200 --postgres

One kills the server, with every process of it, at random moments, the other the database server. A
killed process is not a power cut: what the operating system was handed survives. That a commit
waits for the disk is `synchronous=FULL`, which the tests of the database check, and PostgreSQL's
own default.
"""

import argparse
import asyncio
import secrets
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tests.support.postgres import PostgresServer, binaries
from tests.support.server import PASSWORD, PATIENT, Server, ordergate

CLIENTS = 8
_ATTEMPTS = 5
SETTINGS: dict[str, Any] = {"BCRYPT_COST": 4, "ACCESS_TOKEN_SECONDS": 86_400, **PATIENT}


@dataclass
class Ledger:
    """What the clients know: the id of each acknowledged order by its SKU, and the others."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    unheard: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    url: str = ""
    stop: bool = False


async def client(number: int, ledger: Ledger, token: dict[str, str]) -> None:
    """Place one order after the other, each until it is acknowledged.

    Every fourth goes without a key and is asked for once: it may be there or not, but not twice.
    """
    wish = 0
    async with httpx.AsyncClient(timeout=10) as http:
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
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code == 201:
                    ledger.acknowledged[sku] = answer.json()["id"]
                    break
                if answer is not None and answer.status_code != 503:
                    ledger.refused.append(answer.text)
                    return
                ledger.unheard.add(sku)
                if not key:
                    break
                await asyncio.sleep(0.02)


async def stored(url: str, token: dict[str, str]) -> list[tuple[str, int]]:
    """List every order: its SKU and its id.

    503 asks to try again, as each worker does once after its file was replaced.
    """
    found: list[tuple[str, int]] = []
    async with httpx.AsyncClient(base_url=url, headers=token, timeout=30) as http:
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


def judge(ledger: Ledger, found: list[tuple[str, int]]) -> str:
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


def token_of(url: str) -> dict[str, str]:
    """Sign user1 in."""
    form = {"username": "user1", "password": PASSWORD}
    answer = httpx.post(f"{url}/login", data=form, timeout=30)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def crash(
    ledger: Ledger, token: dict[str, str], kills: int, kill_and_restart: Callable[[], None]
) -> None:
    """Let clients place orders, and kill at random moments while they do."""
    clients = [asyncio.create_task(client(i, ledger, token)) for i in range(CLIENTS)]
    try:
        for _ in range(kills):
            before = len(ledger.acknowledged)
            deadline = time.monotonic() + 60
            while len(ledger.acknowledged) == before:  # they are at it again
                assert time.monotonic() < deadline, "no order is acknowledged any more"
                assert not ledger.refused, ledger.refused[:3]
                await asyncio.sleep(0.005)
            await asyncio.sleep(secrets.SystemRandom().uniform(0, 0.3))
            await asyncio.to_thread(kill_and_restart)
    finally:
        ledger.stop = True
        await asyncio.gather(*clients)


def prepare(folder: Path, **settings: object) -> None:
    """Make a database with one user."""
    for arguments in (["migrate"], ["seed", "--users", 1, "--orders", 0]):
        done = ordergate(*arguments, cwd=folder, PASSWORD=PASSWORD, **SETTINGS, **settings)
        assert done.returncode == 0, done.stderr


def crash_on_sqlite(folder: Path, kills: int, *, workers: int = 2) -> str:
    """Kill the server and all its workers; return what was seen."""
    prepare(folder)

    def start() -> Server:
        return Server.start("serve", "--workers", workers, cwd=folder, **SETTINGS)

    server = start()
    ledger = Ledger(url=server.url)
    token = token_of(server.url)

    def kill_and_restart() -> None:
        nonlocal server
        server.stop(signal.SIGKILL)
        server = start()
        ledger.url = server.url

    try:
        asyncio.run(crash(ledger, token, kills, kill_and_restart))
        verdict = judge(ledger, asyncio.run(stored(server.url, token)))
    finally:
        server.stop()
    with closing(sqlite3.connect(folder / ".ordergate" / "ordergate.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    return f"{kills} kills of the server on SQLite: {verdict}, the file is sound"


def crash_on_postgres(folder: Path, kills: int, programs: Path) -> str:
    """Kill the database server, with every connection it serves; return what was seen."""
    postgres = PostgresServer(programs, durable=True)
    try:
        postgres.init()
        postgres.start()
        url = postgres.url()
        prepare(folder, DATABASE_URL=url)
        server = Server.start("serve", "--workers", 2, cwd=folder, DATABASE_URL=url, **SETTINGS)
        ledger = Ledger(url=server.url)
        token = token_of(server.url)

        def kill_and_restart() -> None:
            postgres.kill()
            postgres.start()

        try:
            asyncio.run(crash(ledger, token, kills, kill_and_restart))
            verdict = judge(ledger, asyncio.run(stored(server.url, token)))
        finally:
            server.stop()
    finally:
        postgres.remove()
    return f"{kills} kills of the database server on PostgreSQL: {verdict}"


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(
        description="Kill at random moments and see that nothing is lost."
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--postgres", action="store_true", help="kill the database server")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        if options.postgres:
            seen = crash_on_postgres(Path(folder), options.kills, binaries())
        else:
            seen = crash_on_sqlite(Path(folder), options.kills)
        sys.stdout.write(f"{seen}\n")


if __name__ == "__main__":
    main()
