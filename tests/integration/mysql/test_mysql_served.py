"""The command and a server on MariaDB, and copies between engines."""

import json
import sys
from pathlib import Path

import httpx2

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.ports.archive import RECORD_TYPES, Record
from tests.support.program.captured_output import run_program
from tests.support.program.command import PASSWORD, error_line, ordergate
from tests.support.program.server import Start
from tests.support.storage.copies import SOURCE, TARGET, seeded
from tests.support.storage.storage_calls import read_all

ORDERS = 500
COUNTS = (
    f"Copied and verified 5 accounts, 1 subjects, 1 sessions, 1 refresh tokens, {ORDERS} orders,"
    " 1 idempotency keys.\n"
)


def test_orders_are_served_from_mariadb(
    tmp_path: Path, start: Start, bare_mariadb_url: str
) -> None:
    settings = {"DATABASE_URL": bare_mariadb_url, "PASSWORD": PASSWORD, "BCRYPT_COST": 4}
    refused = ordergate("serve", cwd=tmp_path, **settings)
    assert "the database's schema is not current; run `ordergate migrate`" in refused.stderr
    for command in (["migrate"], ["migrate"], ["seed", "--users", 2, "--orders", 4]):
        done = ordergate(*command, cwd=tmp_path, **settings)
        assert done.returncode == 0, done.stderr
    server = start("serve", "--workers", 2, cwd=tmp_path, **settings)
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        answer = client.post("/login", data={"username": "user1", "password": PASSWORD})
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        for _ in range(10):
            assert client.get("/orders/1", headers=headers).status_code == 200
            assert client.get("/orders/2", headers=headers).status_code == 404
        assert client.get("/readyz").status_code == 200
    assert server.stop() == 0
    backup = ordergate("backup", "orders.db", cwd=tmp_path, **settings)
    assert "mariadb-dump and mariadb for MariaDB" in error_line(backup)


async def contents(file: Path) -> dict[str, list[Record]]:
    storage = SqlStorage(SqliteDatabase(file))
    await storage.open()
    try:
        return {name: sorted(await read_all(storage, name), key=repr) for name in RECORD_TYPES}
    finally:
        await storage.close()


async def test_storage_is_equal_when_it_was_copied_through_every_engine(
    tmp_path: Path, bare_mariadb_url: str, bare_postgres_url: str
) -> None:
    shop = seeded(tmp_path, ORDERS)
    way = [SOURCE, bare_mariadb_url, bare_postgres_url]
    for source, target in zip(way, [*way[1:], TARGET], strict=True):
        done = ordergate("copy", "--from", source, "--to", target, cwd=shop)
        assert (done.returncode, done.stdout, done.stderr) == (0, COUNTS, "")
    before = await contents(shop / ".ordergate" / "ordergate.db")
    assert await contents(shop / "moved" / "orders.db") == before
    purged = ordergate("purge", cwd=shop, DATABASE_URL=bare_mariadb_url)
    assert purged.stdout == "Removed 1 idempotency keys and 1 sessions.\n"
    advance = ["orders", "advance", 1, "shipped"]
    advanced = ordergate(*advance, cwd=shop, DATABASE_URL=bare_mariadb_url)
    assert advanced.stdout == "Order 1 of user1 is shipped.\n"
    assert json.loads(advanced.stderr)["event"] == "order_advanced"


def test_mariadb_driver_is_not_loaded_with_sqlite() -> None:
    lines = "import sys, ordergate.entrypoints.container; print('asyncmy' in sys.modules)"
    asked = run_program([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert asked.stdout == "False\n"
