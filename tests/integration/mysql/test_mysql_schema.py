"""Migrations and collations on MariaDB."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.util import await_only

from ordergate.adapters.sql.migrations import HEAD
from ordergate.adapters.sql.mysql.database import MysqlDatabase
from ordergate.adapters.sql.recognition import MIGRATIONS
from ordergate.adapters.sql.schema import METADATA
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import SchemaNotCurrent, StorageUnavailable
from ordergate.domain.user import PasswordHash, Username
from tests.support.builders import ALICE
from tests.support.databases.mariadb import database_at, execute, fetch

READING = ("SELECT", "SHOW", "DESCRIBE")


class CrashError(Exception):
    """Ends a migration as a crash does: no statement follows."""


@contextmanager
def crash_before(change: int) -> Iterator[list[str]]:
    """Crash before the change of this number; yield the changes."""
    made: list[str] = []

    def count(*arguments: Any) -> None:
        statement = arguments[2]
        if statement.startswith((*READING, "BEGIN")) or MIGRATIONS in statement:
            return
        if len(made) == change:
            raise CrashError
        made.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield made
    finally:
        event.remove(Engine, "before_cursor_execute", count)


def definitions(connection: Connection) -> dict[str, str]:
    """Return the definition of each table."""
    names = connection.scalars(text("SHOW TABLES")).all()
    made = {name: connection.exec_driver_sql(f"SHOW CREATE TABLE {name}").one() for name in names}
    return {name: row[1] for name, row in made.items()}


def parts(connection: Connection) -> dict[str, set[str]]:
    """Return each definition without the order of its lines."""
    return {
        name: {line.strip().rstrip(",") for line in made.splitlines()}
        for name, made in definitions(connection).items()
    }


async def revision(url: str) -> str | None:
    tables = {name for (name,) in await fetch(url, "SHOW TABLES")}
    if "ordergate_version" not in tables:
        return None
    found = await fetch(url, "SELECT version_num FROM ordergate_version")
    return found[0][0] if found else None


async def test_migration_runs_again_after_a_crash_between_any_two_statements(
    bare_mariadb_url: str, database: MysqlDatabase
) -> None:
    expected = await database.read(parts)
    change, before = 0, None
    while True:
        crashed = database_at(bare_mariadb_url)
        with crash_before(change) as made:
            try:
                await SqlStorage(crashed).migrate()
            except CrashError:
                assert len(made) == change
            else:
                break
        with pytest.raises(SchemaNotCurrent, match="run `ordergate migrate`"):
            await SqlStorage(crashed).open()
        await crashed.close()
        now = await revision(bare_mariadb_url)
        change, before = (change + 1 if now == before else 1), now
    storage = SqlStorage(crashed)
    await storage.open()
    assert await crashed.read(parts) == expected
    assert len(await storage.get_secret()) == 32
    assert await fetch(bare_mariadb_url, f"SELECT name FROM {MIGRATIONS}") == [("lock",)]
    await storage.close()


async def test_parallel_migrations_migrate_once(bare_mariadb_url: str) -> None:
    storages = [SqlStorage(database_at(bare_mariadb_url, statement_seconds=60)) for _ in range(5)]
    await asyncio.gather(*(storage.migrate() for storage in storages))
    for storage in storages:
        await storage.open()
        await storage.close()
    assert await revision(bare_mariadb_url) == HEAD


async def test_schema_is_not_judged_while_a_migration_runs(
    bare_mariadb_url: str,
) -> None:
    """Or `serve` beside `migrate` would take Ordergate's own tables for another program's."""
    begun, finish = asyncio.Event(), asyncio.Event()
    migrating = SqlStorage(database_at(bare_mariadb_url))
    starting = SqlStorage(database_at(bare_mariadb_url, statement_seconds=60))

    def stop_at_orders(*arguments: Any) -> None:
        if "CREATE TABLE order_lines" in arguments[2]:
            begun.set()
            await_only(finish.wait())

    event.listen(Engine, "before_cursor_execute", stop_at_orders)
    try:
        migration = asyncio.create_task(migrating.migrate())
        await begun.wait()
        judging = asyncio.create_task(starting.open())
        waiting = (
            "SELECT count(*) FROM information_schema.processlist"
            " WHERE info LIKE 'SELECT name FROM ordergate_migrations%SHARE MODE'"
        )
        async with asyncio.timeout(30):
            while not judging.done() and await fetch(bare_mariadb_url, waiting) == [(0,)]:
                await asyncio.sleep(0.01)
        assert not judging.done()
        finish.set()
        await migration
        await judging
    finally:
        event.remove(Engine, "before_cursor_execute", stop_at_orders)
    await migrating.close()
    await starting.close()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            "CREATE TABLE users (id INTEGER PRIMARY KEY)",
            "users that Ordergate did not make",
        ),
        ("CREATE TABLE ordergate_version (n INTEGER)", "another program's"),
    ],
)
async def test_database_of_another_program_is_refused_and_not_changed(
    bare_mariadb_url: str, bare: MysqlDatabase, statement: str, reason: str
) -> None:
    await execute(bare_mariadb_url, statement)
    before = await bare.read(definitions)
    for attempt in ("migrate", "open"):
        with pytest.raises(SchemaNotCurrent, match=reason):
            await getattr(SqlStorage(bare), attempt)()
    assert await bare.read(definitions) == before


async def test_missing_database_is_unavailable(bare_mariadb_url: str) -> None:
    storage = SqlStorage(database_at(f"{bare_mariadb_url}_not"))
    for attempt in (storage.open, storage.migrate):
        with pytest.raises(StorageUnavailable, match=r"Unknown database .*_not' \(1049\)"):
            await attempt()


async def test_migrated_tables_equal_the_metadata(
    database: MysqlDatabase, bare: MysqlDatabase
) -> None:
    await bare.write(METADATA.create_all)
    migrated = await database.read(parts)
    assert {name: migrated[name] for name in METADATA.tables} == await bare.read(parts)


async def test_subjects_differ_by_case_and_trailing_spaces(storage: SqlStorage) -> None:
    texts = ("alice", "Alice", "alice ", " alice", "alicé", "alice\t")
    get = storage.users.get_or_create_by_subject
    users = [await get("https://id.example", each) for each in texts]
    assert len(set(users)) == len(texts)
    accounts = [
        await get(issuer, "x")
        for issuer in ("https://id.example", "https://ID.example", "https://id.example ")
    ]
    assert len(set(accounts)) == 3
    await storage.close()


@pytest.mark.parametrize("collation", ["utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_nopad_bin"])
async def test_other_collations_are_refused_at_start(
    mariadb_url: str, database: MysqlDatabase, collation: str
) -> None:
    await execute(
        mariadb_url,
        "ALTER TABLE external_subjects MODIFY subject VARCHAR(255)"
        f" CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL",
    )
    if collation == "utf8mb4_nopad_bin":
        await SqlStorage(database).open()
        return
    with pytest.raises(SchemaNotCurrent, match=r"of external_subjects\.subject takes"):
        await SqlStorage(database).open()


async def test_session_has_the_settings_that_the_statements_need(database: MysqlDatabase) -> None:
    query = text(
        "SELECT @@time_zone, @@tx_isolation, @@autocommit, @@collation_connection,"
        " @@sql_mode LIKE '%STRICT_ALL%', @@sql_mode LIKE '%BACKSLASH%', @@max_statement_time,"
        " @@innodb_lock_wait_timeout, @@idle_transaction_timeout"
    )
    (row,) = await database.read(lambda c: c.execute(query).all())
    assert tuple(row) == (
        "+00:00", "READ-COMMITTED", 1, "utf8mb4_nopad_bin", 1, 0, 5.0, 2, 5
    )  # fmt: skip


async def test_id_is_assigned_above_those_that_were_copied(storage: SqlStorage) -> None:
    bob = await storage.users.add(Username("bob"), PasswordHash("hash"))
    assert bob.id > ALICE.id
    await storage.close()
