"""Databases of other programs are refused, and left as they are."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, inspect

from ordergate.adapters.sql.database import Database
from ordergate.adapters.sql.migrations import HEAD
from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.recognition import ForeignSchema, recognize
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.errors import SchemaNotCurrent
from tests.support.databases.postgres import database_at, execute
from tests.support.program.command import ordergate

VERSIONS = "CREATE TABLE ordergate_version (version_num VARCHAR(32) NOT NULL)"
ITS_USERS = "CREATE TABLE users (id INTEGER PRIMARY KEY, email VARCHAR(200))"
ITS_SHOP = [
    ITS_USERS,
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER, status VARCHAR(16))",
    "CREATE TABLE order_lines (id INTEGER PRIMARY KEY, order_id INTEGER, quantity INTEGER)",
    *(
        f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)"
        for name in (
            "sessions",
            "refresh_tokens",
            "external_subjects",
            "idempotency_keys",
            "secrets",
            "copies",
        )
    ),
]


def versions_table(*revisions: str) -> list[str]:
    insert = "INSERT INTO ordergate_version VALUES ('{}')"
    return [VERSIONS, *map(insert.format, revisions)]


ANOTHER = "another program's"
FOREIGN = {
    "the newest revision and no table": (versions_table("0005"), ANOTHER),
    "an older revision and no table": (versions_table("0001"), ANOTHER),
    "the newest revision and its own users": ([*versions_table("0005"), ITS_USERS], ANOTHER),
    "the newest revision and its own shop": ([*versions_table("0005"), *ITS_SHOP], ANOTHER),
    "a newer revision and no table": (versions_table("0017"), ANOTHER),
    "a newer revision and its own shop": ([*versions_table("0017"), *ITS_SHOP], ANOTHER),
    "a hash": (versions_table("9f3a1c2b7d8e"), ANOTHER),
    "two heads": (versions_table("0005", "0004"), ANOTHER),
    "a version table of other columns": (["CREATE TABLE ordergate_version (n INTEGER)"], ANOTHER),
    "users and no revision": ([ITS_USERS], "a table users that Ordergate did not make"),
    "users and an empty version table": (
        [VERSIONS, ITS_USERS],
        "a table users that Ordergate did not make",
    ),
    "a table of later revisions": (
        ["CREATE TABLE secrets (id INTEGER PRIMARY KEY)"],
        "a table secrets that Ordergate did not make",
    ),
    "a view": (["CREATE VIEW orders AS SELECT 1 AS id"], "a table orders that Ordergate"),
}


@pytest.fixture(params=list(FOREIGN))
def foreign(request: pytest.FixtureRequest) -> tuple[list[str], str]:
    return FOREIGN[request.param]


def make(file: Path, statements: list[str]) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {"shop.db"}


async def test_sqlite_file_of_another_program_is_refused_and_not_changed(
    quiet: Path, foreign: tuple[list[str], str]
) -> None:
    file, (statements, reason) = quiet / "shop.db", foreign
    make(file, statements)
    before = file.read_bytes(), file.stat()
    for attempt in ("migrate", "open"):
        storage = SqlStorage(SqliteDatabase(file))
        with pytest.raises(SchemaNotCurrent, match=reason):
            await getattr(storage, attempt)()
        await storage.close()
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (before[0], before[1].st_mtime_ns)


async def test_postgresql_database_of_another_program_is_refused_and_not_changed(
    bare_postgres_url: str, foreign: tuple[list[str], str]
) -> None:
    statements, reason = foreign
    await execute(bare_postgres_url, *statements)
    database = database_at(bare_postgres_url)
    storage = SqlStorage(database)
    query = (
        "SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
        " WHERE relnamespace = 'public'::regnamespace ORDER BY 1, attnum"
    )
    before = await _rows(bare_postgres_url, query)
    for attempt in (storage.migrate, storage.open):
        with pytest.raises(SchemaNotCurrent, match=reason):
            await attempt()
    await storage.close()
    assert await _rows(bare_postgres_url, query) == before


async def _rows(url: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


def sqlite_at(place: str) -> SqliteDatabase:
    return SqliteDatabase(Path(place))


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Callable[[str], Database], str]:
    """Return what opens an empty database, and where it is."""
    if request.param == "postgres":
        return database_at, request.getfixturevalue("bare_postgres_url")
    file = tmp_path / "orders.db"
    make(file, ["PRAGMA journal_mode = WAL"])
    return sqlite_at, str(file)


async def test_schema_is_examined_as_it_was_before_another_process_migrated(
    empty: tuple[Callable[[str], Database], str],
) -> None:
    """Or `serve` beside `migrate` would take Ordergate's own tables for another program's."""
    opened, place = empty

    async def migrate() -> None:
        storage = SqlStorage(opened(place))
        await storage.migrate()
        await storage.close()

    def tables(connection: Connection) -> list[str]:
        return inspect(connection).get_table_names()

    def look_twice(connection: Connection) -> tuple[list[str], list[str]]:
        before = tables(connection)
        with ThreadPoolExecutor(1) as other:
            other.submit(lambda: asyncio.run(migrate())).result()
        return before, tables(connection)

    database = opened(place)
    assert await database.examine(look_twice) == ([], [])
    assert "secrets" in await database.examine(tables)
    await database.close()


async def read(database: Database, query: str) -> list[tuple[object, ...]]:
    return await database.read(lambda c: [tuple(row) for row in c.exec_driver_sql(query)])


def run(*statements: str) -> Callable[[Connection], None]:
    def run_each(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    return run_each


@pytest.mark.parametrize("revisions", [("0005",), ("9f3a1c2b7d8e",), ("1", "2"), ()])
async def test_alembic_of_another_program_may_share_the_database(
    empty: tuple[Callable[[str], Database], str], revisions: tuple[str, ...]
) -> None:
    opened, place = empty
    database = opened(place)
    theirs = [
        each.replace("ordergate_version", "alembic_version") for each in versions_table(*revisions)
    ]
    await database.migrate(run(*theirs, "CREATE TABLE notes (id INTEGER PRIMARY KEY)"))
    storage = SqlStorage(database)
    await storage.migrate()
    await storage.open()
    assert await read(database, "SELECT version_num FROM alembic_version ORDER BY 1") == [
        (revision,) for revision in revisions
    ]
    await storage.close()


async def test_table_of_revisions_of_an_older_ordergate_is_renamed(
    empty: tuple[Callable[[str], Database], str],
) -> None:
    opened, place = empty
    database = opened(place)
    storage = SqlStorage(database)
    await storage.migrate()
    rename = ["ALTER TABLE ordergate_version RENAME TO alembic_version"]
    if isinstance(database, PostgresDatabase):
        pkc = "CONSTRAINT ordergate_version_pkc TO alembic_version_pkc"
        rename.append(f"ALTER TABLE alembic_version RENAME {pkc}")
    await database.migrate(run(*rename, "UPDATE alembic_version SET version_num = '0006'"))
    with pytest.raises(SchemaNotCurrent, match="run `ordergate migrate`"):
        await storage.open()
    await storage.migrate()
    await storage.open()
    assert await read(database, "SELECT version_num FROM ordergate_version") == [(HEAD,)]
    # Alembic of the adopter makes a table of this name.
    key = "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)"
    await database.migrate(run(f"CREATE TABLE alembic_version (version_num VARCHAR(32), {key})"))
    await storage.migrate()
    await storage.close()


async def test_tables_may_have_a_schema_of_their_own(bare_postgres_url: str) -> None:
    await execute(bare_postgres_url, *versions_table("0005"), *ITS_SHOP, "CREATE SCHEMA own")
    database = database_at(f"{bare_postgres_url}?options=-csearch_path=own,public")
    storage = SqlStorage(database)
    await storage.migrate()
    await storage.open()
    await storage.ping()
    schemas = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'external_subjects'"
    assert await read(database, f"{schemas} ORDER BY 1") == [("own",), ("public",)]
    assert await read(database, "SELECT count(*) FROM public.orders") == [(0,)]
    assert await read(database, "SELECT count(*) FROM own.secrets") == [(1,)]
    await storage.close()


async def test_tables_of_other_names_may_share_the_database(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    make(file, ["CREATE TABLE invoices (id INTEGER PRIMARY KEY)"])
    storage = SqlStorage(SqliteDatabase(file))
    await storage.migrate()
    await storage.open()
    await storage.close()


@pytest.mark.parametrize(
    "command", [["migrate"], ["users", "add", "alice"], ["serve", "--port", "0"]]
)
def test_commands_refuse_the_file_of_another_program_in_one_line(
    tmp_path: Path, command: list[str]
) -> None:
    make(tmp_path / "shop.db", [*versions_table("0005"), *ITS_SHOP])
    url = f"sqlite:///{tmp_path}/shop.db"
    result = ordergate(*command, cwd=tmp_path, DATABASE_URL=url, PASSWORD="a pot of tea at five")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert ANOTHER in line


@pytest.mark.parametrize(
    "statements", [versions_table("0005"), [*versions_table("0005"), *ITS_SHOP], [ITS_USERS]]
)
def test_file_of_another_program_is_neither_restored_nor_replaced(
    tmp_path: Path, statements: list[str]
) -> None:
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    assert ordergate("backup", "good.db", cwd=tmp_path).returncode == 0
    make(tmp_path / "shop.db", statements)
    before = (tmp_path / "shop.db").read_bytes()
    refused = ordergate("restore", "shop.db", "--replace", cwd=tmp_path)
    assert "shop.db is not a database of Ordergate" in refused.stderr
    url = f"sqlite:///{tmp_path}/shop.db"
    refused = ordergate("restore", "good.db", cwd=tmp_path, DATABASE_URL=url)
    assert "is another program's database; replace it with --replace" in refused.stderr
    assert (tmp_path / "shop.db").read_bytes() == before


def test_schema_of_a_later_program_is_recognized() -> None:
    ours = {
        "ordergate_version": frozenset({"version_num"}),
        "users": frozenset({"id", "username", "password_hash"}),
        "orders": frozenset({"owner_id", "id", "status", "placed_at", "currency"}),
        "order_lines": frozenset(
            {"owner_id", "order_id", "position", "sku", "name", "quantity", "unit_price"}
        ),
    }
    assert recognize(ours, {"ordergate_version": ["0001"]}) == "0001"
    with pytest.raises(ForeignSchema):
        recognize(ours, {"ordergate_version": ["0002"]})
    for name in ("sessions", "refresh_tokens", "external_subjects"):
        ours[name] = frozenset()
    assert recognize(ours, {"ordergate_version": ["0003"]}) == "0003"
    for name in ("idempotency_keys", "secrets", "copies"):
        ours[name] = frozenset()
    assert recognize(ours, {"ordergate_version": ["0006"]}) == "0006"
    with pytest.raises(ForeignSchema):
        recognize(ours, {"ordergate_version": ["0000"]})
