"""A database that a later version has migrated, as docs/upgrading.md says."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.support.api.http_client import TEA
from tests.support.program.command import (
    CHEAP,
    PASSWORD,
    SECONDS,
    error_line,
    error_lines,
    ordergate,
    seed_folder,
)
from tests.support.program.server import Start

ROOT = Path(__file__).parents[3]
PAGE = " ".join((ROOT / "docs" / "upgrading.md").read_text().split())
REFUSED = "the database was made by a newer Ordergate; install that version"


LATER = (
    "ALTER TABLE orders ADD COLUMN note TEXT; CREATE INDEX ix_orders_note ON orders (note);"
    " UPDATE ordergate_version SET version_num = '9999';"
)
"""What the migration of a later version may do."""


def migrate_further(folder: Path) -> None:
    with closing(sqlite3.connect(folder / ".ordergate" / "ordergate.db")) as database:
        database.executescript(LATER)


def sign_in(client: httpx2.Client) -> dict[str, str]:
    form = {"username": "user1", "password": PASSWORD}
    token = client.post("/login", data=form).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seed_folder(tmp_path_factory.mktemp("seeded"), orders=3)


def test_former_server_goes_on_after_a_migration_that_adds(home: Path, start: Start) -> None:
    server = start("serve", cwd=home, **CHEAP)
    with httpx2.Client(base_url=server.url, timeout=SECONDS) as client:
        user = sign_in(client)
        migrate_further(home)
        assert client.get("/order?id=1", headers=user).status_code == 200
        assert client.get("/readyz").status_code == 200
        user = sign_in(client)
        placed = client.post("/orders", json=TEA, headers=user | {"Idempotency-Key": "one"})
        assert placed.status_code == 201
        found = client.get(f"/orders/{placed.json()['id']}", headers=user)
    assert found.json() == placed.json()


def test_former_version_refuses_a_later_schema_and_restores_its_backup(home: Path) -> None:
    migrate_further(home)
    assert REFUSED in PAGE
    for command in ("serve", "purge"):
        assert error_line(ordergate(command, cwd=home)).endswith(REFUSED)
    restored = ordergate("restore", "--replace", "backup.db", cwd=home)
    assert restored.returncode == 0, restored.stderr
    assert ordergate("purge", cwd=home).returncode == 0


def test_settings_are_checked_without_a_change(tmp_path: Path) -> None:
    """The page checks settings by showing them."""
    assert re.search(r"bin/ordergate settings", PAGE)
    refused = ordergate("settings", cwd=tmp_path, BCRYPT_CST=4, WORKERS="many")
    unknown, wrong = error_lines(refused)
    assert unknown.startswith("ORDERGATE_BCRYPT_CST is not a setting")
    assert wrong.startswith("ORDERGATE_WORKERS: ")
    assert ordergate("settings", cwd=tmp_path).returncode == 0
    assert list(tmp_path.iterdir()) == []
