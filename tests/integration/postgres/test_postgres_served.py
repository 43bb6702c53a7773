"""The command and a server with two workers on PostgreSQL."""

import json
import sys
from pathlib import Path

import httpx2

from tests.support.program.captured_output import run_program
from tests.support.program.command import PASSWORD, error_line, ordergate
from tests.support.program.server import Start


def test_orders_are_served_from_postgresql(
    tmp_path: Path, start: Start, bare_postgres_url: str
) -> None:
    settings = {"DATABASE_URL": bare_postgres_url, "PASSWORD": PASSWORD, "BCRYPT_COST": 4}
    refused = ordergate("serve", cwd=tmp_path, **settings)
    assert refused.returncode == 1
    assert "the database's schema is not current; run `ordergate migrate`" in refused.stderr
    for command in (["migrate"], ["migrate"], ["seed", "--users", 2, "--orders", 4]):
        done = ordergate(*command, cwd=tmp_path, **settings)
        assert done.returncode == 0, done.stderr
    added = ordergate("users", "add", "carol", cwd=tmp_path, **settings)
    assert added.stdout.startswith("Added user carol with id "), added.stderr
    server = start("serve", "--workers", 2, cwd=tmp_path, **settings)
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        for name, status in (("user1", 200), ("carol", 404)):
            answer = client.post("/login", data={"username": name, "password": PASSWORD})
            headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            for _ in range(20):
                assert client.get("/orders/1", headers=headers).status_code == status
        assert client.get("/readyz").status_code == 200
    assert server.stop() == 0


def test_unreachable_database_is_reported_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://ordergate:hunter2@127.0.0.1:1/orders"
    done = ordergate("migrate", cwd=tmp_path, DATABASE_URL=url)
    assert error_line(done) == (
        "cannot use the database at 127.0.0.1:1/orders (ORDERGATE_DATABASE_URL): PostgreSQL: the"
        " connection was refused"
    )


def test_postgresql_driver_is_not_loaded_with_sqlite() -> None:
    lines = "import sys, ordergate.entrypoints.container; print('asyncpg' in sys.modules)"
    asked = run_program([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert asked.stdout == "False\n"


def test_doctor_compares_pools_and_clocks_with_postgresql(
    tmp_path: Path, postgres_url: str
) -> None:
    done = ordergate(
        "doctor",
        "--json",
        cwd=tmp_path,
        DATABASE_URL=postgres_url,
        DATABASE_POOL_SIZE=1_000,
        BCRYPT_COST=4,
    )
    found = {each["check"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 0, done.stderr
    assert found["database"]["found"].startswith("PostgreSQL 1")
    assert found["schema"]["status"] == "ok"
    assert found["connections"]["status"] == "warning"
    assert "1 worker of this host may open 1001 of the " in found["connections"]["found"]
    assert found["clock"]["found"].startswith("the clock of the database is ")
    assert "integrity" not in found
