"""The facts of a storage on each engine, found without changes."""

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.errors import SchemaNotCurrent, StorageUnavailable
from ordergate.application.ports.storage import Storage, StorageFacts, StorageInspector
from ordergate.entrypoints.config.loading import make_settings
from ordergate.entrypoints.factories.databases import make_storage
from tests.contracts.storage.inspector_contract import StorageInspectorContract
from tests.support.databases import postgres
from tests.support.databases.database_server import find_free_port
from tests.support.storage.sqlite import execute

SERVERS = {"PostgreSQL": "postgres", "MariaDB": "mariadb"}


async def inspect(url: str) -> StorageFacts:
    """Return the properties of the storage of a URL."""
    storage = make_storage(url, make_settings({}))
    assert isinstance(storage, StorageInspector)
    try:
        return await storage.inspect()
    finally:
        await storage.close()


@pytest.fixture(params=SERVERS)
def migrated_server(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return a server's name and the URL of a migrated database."""
    return request.param, request.getfixturevalue(f"{SERVERS[request.param]}_url")


async def test_facts_of_a_server_have_its_version_clock_and_limit(
    migrated_server: tuple[str, str],
) -> None:
    name, url = migrated_server
    facts = await inspect(url)
    assert facts.product.startswith(f"{name} 1")
    assert facts.round_trip > 0
    assert facts.clock_ahead is not None
    assert abs(facts.clock_ahead) < 30
    assert facts.max_connections is not None
    assert facts.max_connections > 10
    assert (facts.details, facts.risk, facts.schema_error) == ({}, None, None)


async def test_limit_of_a_postgresql_database_counts(postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    await postgres.execute(postgres_url, f"ALTER DATABASE {name} CONNECTION LIMIT 9")
    assert (await inspect(postgres_url)).max_connections == 9


class InspectorContract(StorageInspectorContract):
    """The contract for a storage that is made from a URL."""

    @pytest.fixture
    async def migrated(self, migrated_url: str) -> AsyncIterator[Storage]:
        async with closing_storage(migrated_url) as storage:
            yield storage

    @pytest.fixture
    async def empty(self, empty_url: str) -> AsyncIterator[Storage]:
        async with closing_storage(empty_url) as storage:
            yield storage

    @pytest.fixture
    async def unreachable(self, unreachable_url: str) -> AsyncIterator[Storage]:
        async with closing_storage(unreachable_url) as storage:
            yield storage


@asynccontextmanager
async def closing_storage(url: str) -> AsyncIterator[Storage]:
    storage = make_storage(url, make_settings({}))
    yield storage
    await storage.close()


class TestSqliteInspector(InspectorContract):
    @pytest.fixture
    def migrated_url(self, file: Path) -> str:
        return f"sqlite:///{file}"

    @pytest.fixture
    def empty_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'new' / 'orders.db'}"

    @pytest.fixture
    def unreachable_url(self, file: Path) -> str:
        file.write_bytes(b"no database" * 100)
        return f"sqlite:///{file}"


@pytest.mark.parametrize("server", SERVERS)
class TestServerInspector(InspectorContract):
    @pytest.fixture
    def migrated_url(self, request: pytest.FixtureRequest, server: str) -> str:
        url: str = request.getfixturevalue(f"{SERVERS[server]}_url")
        return url

    @pytest.fixture
    def empty_url(self, request: pytest.FixtureRequest, server: str) -> str:
        url: str = request.getfixturevalue(f"bare_{SERVERS[server]}_url")
        return url

    @pytest.fixture
    def unreachable_url(self, server: str) -> str:
        scheme = server.lower()
        return f"{scheme}://ordergate@127.0.0.1:{find_free_port()}/orders"


@pytest.fixture
async def storage(file: Path) -> AsyncIterator[SqlStorage]:
    storage = SqlStorage(SqliteDatabase(file))
    yield storage
    await storage.close()


def snapshot(folder: Path) -> dict[str, tuple[str, int]]:
    """Return the content and the mode of each file."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode)
        for path in folder.iterdir()
    }


async def test_facts_of_a_file_have_the_pragmas_of_servers(storage: SqlStorage) -> None:
    facts = await storage.inspect()
    assert facts.product == f"SQLite {sqlite3.sqlite_version}"
    assert facts.details["journal_mode"] == "wal"
    assert facts.details["synchronous"] == "full"
    assert facts.details["foreign_keys"] == "on"
    assert facts.details["temp_store"] in {"file", "memory"}
    assert (facts.clock_ahead, facts.max_connections, facts.schema_error) == (None, None, None)


@pytest.mark.parametrize("journal", ["wal", "delete"])
async def test_inspection_changes_no_file(storage: SqlStorage, file: Path, journal: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
    before = snapshot(file.parent)
    facts = await storage.inspect()
    await storage.close()
    assert facts.details["journal_mode"] == journal
    assert snapshot(file.parent) == before


async def test_inspection_makes_no_file(tmp_path: Path) -> None:
    storage = SqlStorage(SqliteDatabase(tmp_path / "new" / "orders.db"))
    with pytest.raises(SchemaNotCurrent, match="there is no database at"):
        await storage.inspect()
    await storage.close()
    assert list(tmp_path.iterdir()) == []


async def test_inspection_of_a_damaged_file_says_what_to_do(
    storage: SqlStorage, file: Path
) -> None:
    file.write_bytes(b"no database" * 100)
    with pytest.raises(StorageUnavailable, match="restore a backup with `ordergate restore"):
        await storage.inspect()


async def test_facts_say_that_a_schema_is_old_or_a_copy_unfinished(
    storage: SqlStorage, file: Path
) -> None:
    execute(file, "INSERT INTO copies VALUES ('another', 'accounts', '')")
    error = (await storage.inspect()).schema_error
    assert error is not None
    assert error.startswith("the database holds an unfinished copy; run `ordergate copy` again")
    await storage.close()
    execute(file, "UPDATE ordergate_version SET version_num = '0006'")
    error = (await storage.inspect()).schema_error
    assert error == "the database's schema is not current; run `ordergate migrate`"


@pytest.mark.parametrize(
    ("version", "is_risky"),
    [("3.40.1", True), ("3.50.6", True), ("3.50.7", False), ("3.51.2", True), ("3.51.3", False)],
)
async def test_risk_is_that_of_versions_with_the_fault(
    monkeypatch: pytest.MonkeyPatch, storage: SqlStorage, version: str, is_risky: bool
) -> None:
    numbers = tuple(map(int, version.split(".")))
    monkeypatch.setattr(sqlite3, "sqlite_version", version)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", numbers)
    facts = await storage.inspect()
    assert facts.product == f"SQLite {version}"
    assert (facts.risk is not None) is is_risky
