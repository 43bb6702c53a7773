"""Crashes while clients place orders: what was acknowledged is there, once.

    make crash                  # 200 kills each; CRASH="--kills 20" for fewer
    python -m tests.crash.crashes --kills 200
    python -m tests.crash.crashes --kills 200 --postgres
    python -m tests.crash.crashes --kills 200 --mariadb

One kills the server, with every process of it, at random moments, the others the database server. A
killed process is not a power cut: what the operating system was handed survives. That a commit
waits for the disk is `synchronous=FULL`, which the tests of the database check, and the
defaults of PostgreSQL and MariaDB.
"""

import argparse
import asyncio
import secrets
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.databases.mariadb import MariadbServer, program
from tests.support.databases.postgres import PostgresServer, binaries
from tests.support.program.command import PASSWORD, ordergate
from tests.support.program.server import Server
from tests.support.storage.order_clients import (
    CLIENTS,
    SETTINGS,
    Ledger,
    check_ledger,
    client,
    list_stored_orders,
    sign_in_user1,
)


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
    token = sign_in_user1(server.url)

    def kill_and_restart() -> None:
        nonlocal server
        server.stop(signal.SIGKILL)
        server = start()
        ledger.url = server.url

    try:
        asyncio.run(crash(ledger, token, kills, kill_and_restart))
        verdict = check_ledger(ledger, asyncio.run(list_stored_orders(server.url, token)))
    finally:
        server.stop()
    with closing(sqlite3.connect(folder / ".ordergate" / "ordergate.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    return f"{kills} kills of the server on SQLite: {verdict}, the file is sound"


def crash_on_server(
    folder: Path, kills: int, database: PostgresServer | MariadbServer, name: str
) -> str:
    """Kill the database server with its connections; return what was seen."""
    try:
        database.init()
        database.start()
        url = database.url()
        prepare(folder, DATABASE_URL=url)
        server = Server.start("serve", "--workers", 2, cwd=folder, DATABASE_URL=url, **SETTINGS)
        ledger = Ledger(url=server.url)
        token = sign_in_user1(server.url)

        def kill_and_restart() -> None:
            database.kill()
            database.start()

        try:
            asyncio.run(crash(ledger, token, kills, kill_and_restart))
            verdict = check_ledger(ledger, asyncio.run(list_stored_orders(server.url, token)))
        finally:
            server.stop()
    finally:
        database.remove()
    return f"{kills} kills of the database server on {name}: {verdict}"


def crash_on_postgres(folder: Path, kills: int, programs: Path) -> str:
    """Kill PostgreSQL; return what was seen."""
    return crash_on_server(folder, kills, PostgresServer(programs, durable=True), "PostgreSQL")


def crash_on_mariadb(folder: Path, kills: int, program: Path) -> str:
    """Kill MariaDB; return what was seen."""
    return crash_on_server(folder, kills, MariadbServer(program, durable=True), "MariaDB")


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(
        description="Kill at random moments and see that nothing is lost."
    )
    parser.add_argument("--kills", type=int, default=200)
    servers = parser.add_mutually_exclusive_group()
    servers.add_argument("--postgres", action="store_true", help="kill PostgreSQL")
    servers.add_argument("--mariadb", action="store_true", help="kill MariaDB")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        if options.postgres:
            seen = crash_on_postgres(Path(folder), options.kills, binaries())
        elif options.mariadb:
            seen = crash_on_mariadb(Path(folder), options.kills, program())
        else:
            seen = crash_on_sqlite(Path(folder), options.kills)
        sys.stdout.write(f"{seen}\n")


if __name__ == "__main__":
    main()
