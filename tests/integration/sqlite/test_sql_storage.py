import asyncio
import multiprocessing
import os
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, text

from ordergate.adapters.sql.bulk.sql_bulk_loader import SqlBulkLoader
from ordergate.adapters.sql.migrations import HEAD
from ordergate.adapters.sql.migrator import make_migration_config
from ordergate.adapters.sql.recognition import VERSIONS
from ordergate.adapters.sql.repositories.order_statements import OWNED
from ordergate.adapters.sql.repositories.sql_order_repository import SqlOrderRepository
from ordergate.adapters.sql.schema import METADATA
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.errors import SchemaNotCurrent, StorageUnavailable
from ordergate.application.ports.archive import AccountKind, AccountRecord, KeyRecord, SessionRecord
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.application.ports.sessions import Forgotten
from ordergate.application.ports.storage import Storage
from ordergate.domain.order import Order, OrderId
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, User, UserId, Username
from tests.contracts.storage.identity_contract import STATEFUL, FileIdentityMachine
from tests.contracts.storage.storage_contract import WholeStorageContract
from tests.support.builders import ALICE, an_order
from tests.support.storage.fault_injection import Failure
from tests.support.storage.fault_injection_sql import failing_statements
from tests.support.storage.storage_calls import MARK


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "orders.db"


@pytest.fixture
async def database(file: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(file)
    yield database
    await database.close()


@pytest.fixture(scope="session")
async def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file that is migrated once, because tests copy it faster."""
    file = tmp_path_factory.mktemp("migrated") / "orders.db"
    database = SqliteDatabase(file)
    await SqlStorage(database).migrate()
    await database.close()
    return file


class TestSqliteStorage(WholeStorageContract):
    @pytest.fixture
    async def storage(
        self, database: SqliteDatabase, file: Path, migrated_file: Path
    ) -> AsyncIterator[Storage]:
        self.database, self.file = database, file
        file.parent.mkdir(mode=0o700)
        copyfile(migrated_file, file)
        storage = SqlStorage(database)
        await storage.open()
        yield storage
        await storage.close()

    def another(self, storage: Storage) -> Storage:
        return SqlStorage(SqliteDatabase(self.file))

    async def empty(self, storage: Storage) -> None:
        def delete(connection: Connection) -> None:
            for table in (
                "idempotency_keys",
                "order_lines",
                "orders",
                "external_subjects",
                "refresh_tokens",
                "sessions",
                "users",
                "copies",
            ):
                connection.execute(text(f"DELETE FROM {table}"))

        await self.database.write(delete)

    def fail_at(self, storage: Storage, failure: Failure) -> AbstractContextManager[None]:
        return failing_statements(failure)


class SqliteIdentity(FileIdentityMachine):
    def make_storage(self, folder: Path) -> Storage:
        return SqlStorage(SqliteDatabase(folder / "identity.db"))


TestIdentityOnSqlite = SqliteIdentity.TestCase
TestIdentityOnSqlite.settings = STATEFUL


@pytest.fixture
async def migrated(database: SqliteDatabase) -> SqliteDatabase:
    await SqlStorage(database).migrate()
    return database


# The file


async def test_file_and_folder_are_private(migrated: SqliteDatabase, file: Path) -> None:
    await migrated.write(lambda connection: connection.execute(text("DELETE FROM users")))
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 2)],
)
async def test_every_connection_is_configured(
    migrated: SqliteDatabase, pragma: str, value: object
) -> None:
    def ask(connection: Connection) -> object:
        return connection.scalar(text(f"PRAGMA {pragma}"))

    assert await migrated.read(ask) == value
    assert await migrated.write(ask) == value


async def test_write_takes_the_lock_at_its_start(migrated: SqliteDatabase, file: Path) -> None:
    other = sqlite3.connect(file, timeout=0, check_same_thread=False)

    def work(connection: Connection) -> None:
        connection.execute(text("SELECT count(*) FROM users"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("INSERT INTO users (username, password_hash) VALUES ('x', 'y')")

    await migrated.write(work)
    other.close()


async def test_reads_continue_during_a_write(migrated: SqliteDatabase) -> None:
    users = SqlStorage(migrated).users
    alice = await users.add(ALICE.username, ALICE.password_hash)
    began, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(connection: Connection) -> None:
        connection.execute(text("UPDATE users SET password_hash = 'new'"))
        loop.call_soon_threadsafe(began.set)
        assert go_on.wait(10)

    writing = asyncio.create_task(migrated.write(work))
    await began.wait()
    assert await users.find(alice.username) == alice
    go_on.set()
    await writing
    changed = await users.find(alice.username)
    assert changed is not None
    assert changed.password_hash == "new"


async def test_load_is_rolled_back_when_its_caller_is_cancelled(migrated: SqliteDatabase) -> None:
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless() -> Iterator[Order]:
        i = 0
        while True:
            i += 1
            if i == 60_000:
                loop.call_soon_threadsafe(began.set)
            yield an_order(i)

    loading = asyncio.create_task(SqlBulkLoader(migrated).load([ALICE], endless()))
    await began.wait()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    await migrated.close()
    assert await SqlStorage(migrated).users.find(ALICE.username) is None


async def test_users_are_rolled_back_when_their_load_is_cancelled(migrated: SqliteDatabase) -> None:
    began, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def users() -> Iterator[User]:
        yield ALICE
        loop.call_soon_threadsafe(began.set)
        assert go_on.wait(10)

    loading = asyncio.create_task(SqlBulkLoader(migrated).load(users(), []))
    await began.wait()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    go_on.set()
    await migrated.close()
    assert await SqlStorage(migrated).users.find(ALICE.username) is None


async def test_id_is_never_assigned_twice(migrated: SqliteDatabase) -> None:
    users = SqlStorage(migrated).users
    first = await users.add(Username("first"), PasswordHash("h"))
    await migrated.write(lambda connection: connection.execute(text("DELETE FROM users")))
    assert (await users.add(Username("second"), PasswordHash("h"))).id > first.id


async def test_own_order_is_found_by_its_keys(migrated: SqliteDatabase) -> None:
    def explain(connection: Connection) -> list[str]:
        query = f"EXPLAIN QUERY PLAN {OWNED.compile(dialect=connection.dialect)}"
        return [row[3] for row in connection.exec_driver_sql(query, (1, 7) * 2)]

    assert await migrated.read(explain) == [
        "SEARCH orders USING PRIMARY KEY (owner_id=? AND id=?)",
        "SEARCH order_lines USING PRIMARY KEY (owner_id=? AND order_id=?) LEFT-JOIN",
    ]


async def test_purge_queries_use_indexes(migrated: SqliteDatabase) -> None:
    storage, seen = SqlStorage(migrated), []
    over = (datetime(2026, 1, 1, tzinfo=UTC),) * 3
    ended, expired = (
        Session(SessionId(each), ALICE.id, "shop", "192.0.2.1", frozenset(), *over)
        for each in ("ended", "expired")
    )
    for records in (
        [AccountRecord(ALICE.id, AccountKind.CLOSED)],
        [SessionRecord(ended, over[0], SessionEndReason.REVOKED), SessionRecord(expired)],
        [an_order()],
        [KeyRecord(ALICE.id, IdempotencyKey("a wish", over[0]), an_order().id)],
    ):
        await storage.archive.write(records, checkpoint=MARK)

    def note(*arguments: Any) -> None:
        _, _, statement, values, _, many = arguments
        seen.append((statement, values[0] if many else values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert await storage.sessions.purge_ended(over_by=over[0], limit=50) == Forgotten(2, 0)
        assert await storage.orders.purge_expired_keys(expired_by=over[0], limit=50) == 1
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    def explain(connection: Connection) -> list[str]:
        return [
            row[3]
            for statement, values in seen
            if statement.startswith(("SELECT", "DELETE"))
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]

    by_session = [
        "refresh_tokens USING COVERING INDEX ix_refresh_tokens_session_id (session_id=?)",
        "sessions USING INDEX sqlite_autoindex_sessions_1 (id=?)",
        "refresh_tokens USING COVERING INDEX ix_refresh_tokens_session_id (session_id=?)",
    ]
    assert [step.removeprefix("SEARCH ") for step in await migrated.read(explain)] == [
        "sessions USING INDEX ix_sessions_ended_at (ended_at<?)",
        *by_session,
        "sessions USING INDEX ix_sessions_expires_at (expires_at<?)",
        *by_session,
        "idempotency_keys USING COVERING INDEX ix_idempotency_keys_expires_at (expires_at<?)",
        "idempotency_keys USING PRIMARY KEY (owner_id=? AND key=?)",
    ]


# Failures


async def test_replaced_file_is_reported_once_and_then_read(
    migrated: SqliteDatabase, file: Path
) -> None:
    storage = SqlStorage(migrated)
    await storage.open()
    await storage.users.add(Username("before"), PasswordHash("h"))
    for part in file.parent.iterdir():
        part.unlink()
    with pytest.raises(StorageUnavailable, match="replaced or removed"):
        await storage.ping()
    with pytest.raises(StorageUnavailable):
        await storage.ping()
    assert not file.exists()
    await SqlStorage(SqliteDatabase(file)).migrate()
    await storage.ping()
    assert await storage.users.find(Username("before")) is None
    await storage.users.add(Username("after"), PasswordHash("h"))
    assert await storage.users.find(Username("after")) is not None


@pytest.mark.parametrize("name", ["a?b.db", "a#b.db", "a%20b.db", "a b.db", "é.db"])
async def test_any_file_name_is_accepted(tmp_path: Path, name: str) -> None:
    storage = SqlStorage(SqliteDatabase(tmp_path / name))
    await storage.migrate()
    await storage.open()
    await storage.close()
    assert (tmp_path / name).is_file()


async def test_folder_of_the_file_is_private_for_every_umask(tmp_path: Path) -> None:
    """Folders above it get the modes that the umask allows."""
    before = os.umask(0)
    try:
        await SqlStorage(SqliteDatabase(tmp_path / "a" / "b" / "orders.db")).migrate()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o777
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    files = (tmp_path / "a" / "b").iterdir()
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"\0" * 8192])
async def test_file_of_another_format_is_unavailable(
    database: SqliteDatabase, file: Path, content: bytes
) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(StorageUnavailable):
        await SqlStorage(database).open()
    with pytest.raises(StorageUnavailable):
        await SqlStorage(database).migrate()


async def test_folder_that_cannot_be_created_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="Not a directory"):
        await SqlStorage(SqliteDatabase(tmp_path / "file" / "orders.db")).migrate()


async def test_lost_table_is_unavailable(migrated: SqliteDatabase) -> None:
    await migrated.write(lambda connection: connection.execute(text("DROP TABLE order_lines")))
    with pytest.raises(StorageUnavailable):
        await SqlOrderRepository(migrated).get_owned(OrderId(1), owner=UserId(1))


async def test_error_does_not_contain_the_values(migrated: SqliteDatabase) -> None:
    await migrated.write(lambda connection: connection.execute(text("DROP TABLE users")))
    with pytest.raises(StorageUnavailable) as refusal:
        await SqlStorage(migrated).users.add(Username("alice"), PasswordHash("the-hash"))
    assert "the-hash" not in f"{refusal.value} {refusal.value.__cause__}"


# Migrations


async def test_open_does_not_create_a_missing_file(database: SqliteDatabase, file: Path) -> None:
    with pytest.raises(SchemaNotCurrent, match=f"there is no database at {file}"):
        await SqlStorage(database).open()
    assert not file.exists()


async def test_database_of_another_program_is_distinguished_from_a_newer_one(
    migrated: SqliteDatabase,
) -> None:
    await migrated.write(
        lambda connection: connection.execute(
            text("UPDATE ordergate_version SET version_num = 'abcd1234'")
        )
    )
    with pytest.raises(SchemaNotCurrent, match="another program's"):
        await SqlStorage(migrated).open()


async def test_empty_file_has_no_schema(database: SqliteDatabase) -> None:
    await database.migrate(lambda connection: None)
    with pytest.raises(SchemaNotCurrent):
        await SqlStorage(database).open()


async def test_schema_of_another_version_is_not_opened(migrated: SqliteDatabase) -> None:
    await migrated.write(
        lambda connection: connection.execute(
            text("UPDATE ordergate_version SET version_num = '9999'")
        )
    )
    with pytest.raises(SchemaNotCurrent, match="made by a newer Ordergate"):
        await SqlStorage(migrated).open()
    with pytest.raises(SchemaNotCurrent, match="made by a newer Ordergate"):
        await SqlStorage(migrated).migrate()


async def test_migrated_schema_equals_the_tables(migrated: SqliteDatabase) -> None:
    def compare(connection: Connection) -> list[object]:
        compared = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(
            connection, opts={**compared, "version_table": VERSIONS}
        )
        return list(compare_metadata(context, METADATA))

    assert await migrated.write(compare) == []


async def test_migrated_indexes_equal_the_tables_in_every_part(
    migrated: SqliteDatabase, tmp_path: Path
) -> None:
    """Alembic compares columns alone, and would not notice a wrong condition."""

    def indexes(connection: Connection) -> dict[str, str]:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        return {name: " ".join(sql.split()) for name, sql in connection.execute(text(query))}

    created = SqliteDatabase(tmp_path / "created.db")
    await created.migrate(METADATA.create_all)
    assert await migrated.read(indexes) == await created.read(indexes)
    await created.close()


async def test_newest_migration_is_the_required_one(migrated: SqliteDatabase) -> None:
    def heads(connection: Connection) -> list[str]:
        return list(ScriptDirectory.from_config(make_migration_config(connection)).get_heads())

    assert await migrated.write(heads) == [HEAD]


async def test_migrations_run_up_down_and_up(database: SqliteDatabase) -> None:
    def climb(connection: Connection) -> None:
        config = make_migration_config(connection)
        script = ScriptDirectory.from_config(config)
        for revision in reversed(list(script.walk_revisions())):
            command.upgrade(config, revision.revision)
            command.downgrade(config, "-1")
            command.upgrade(config, revision.revision)

    await database.migrate(climb)


def _migrate(file: Path) -> None:
    asyncio.run(SqlStorage(SqliteDatabase(file)).migrate())


@pytest.mark.process
async def test_parallel_migrations_migrate_once(database: SqliteDatabase, file: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(_migrate, [file] * 8)
    await SqlStorage(database).open()
