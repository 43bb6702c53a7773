"""PgBouncer: settings that it refuses, those of the role, and prepared statements."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ordergate.adapters.sql.postgres.connecting.session_settings import LIMITS, OWN_SETTINGS
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.storage import Storage
from tests.support.builders import ALICE, an_order
from tests.support.databases.pgbouncer import PgBouncer, run_pgbouncer
from tests.support.databases.postgres import PostgresServer, database_at, execute
from tests.support.program.command import error_line, ordergate
from tests.support.programs import find_program

PAGE = Path(__file__).parents[3] / "docs" / "postgresql.md"
FIRST_WITH_STATEMENTS = (1, 21)
ALTER = re.compile(r"ALTER ROLE ordergate SET \w+ = '[^']*'")


@pytest.fixture(scope="module")
def server(postgres_binaries: Path) -> Iterator[PostgresServer]:
    with PostgresServer(postgres_binaries).running() as server:
        yield server


@pytest.fixture(params=["session", "transaction"])
def pool_mode(request: pytest.FixtureRequest) -> str:
    mode: str = request.param
    return mode


@pytest.fixture
def pooler(server: PostgresServer, pool_mode: str) -> Iterator[PgBouncer]:
    with run_pgbouncer(server, pool_mode) as pooler:
        yield pooler


@pytest.fixture
async def database(server: PostgresServer, pool_mode: str) -> str:
    """Return a migrated database's name; the role has no settings."""
    name = f"of_{pool_mode}"
    await execute(
        server.url(),
        f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
        f"CREATE DATABASE {name}",
        "ALTER ROLE ordergate RESET ALL",
    )
    storage = SqlStorage(database_at(server.url(name)))
    await storage.migrate()
    await storage.close()
    return name


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Storage]:
    storage = SqlStorage(database_at(url, sends_settings=False))
    try:
        await storage.open()
        yield storage
    finally:
        await storage.close()


async def refusal(url: str) -> str:
    with pytest.raises(StorageUnavailable) as refused:
        async with opened(url):
            raise AssertionError
    return str(refused.value)


async def alter_role(server: PostgresServer, pooler: PgBouncer, database: str) -> None:
    """Run the statements of the message, and nothing else."""
    statements = ALTER.findall(await refusal(pooler.url(database)))
    await execute(server.url(), *statements)
    await pooler.command("RECONNECT")


async def test_refused_settings_name_the_setting_that_helps(
    pooler: PgBouncer, database: str
) -> None:
    storage = SqlStorage(database_at(pooler.url(database)))
    with pytest.raises(StorageUnavailable, match="set ORDERGATE_DATABASE_SETTINGS=role"):
        await storage.open()
    await storage.close()


async def test_message_names_each_setting_that_the_role_lacks(
    pooler: PgBouncer, database: str
) -> None:
    said = await refusal(pooler.url(database))
    assert ALTER.findall(said) == ALTER.findall(PAGE.read_text())
    named = {statement.split()[4] for statement in ALTER.findall(said)}
    assert named == OWN_SETTINGS - {"default_transaction_isolation"}  # the server has it already
    assert said.endswith("; then RECONNECT the pooler")
    assert "\n" not in said


async def test_old_connection_of_the_pooler_has_the_old_settings(
    server: PostgresServer, pooler: PgBouncer, database: str
) -> None:
    statements = ALTER.findall(await refusal(pooler.url(database)))
    await execute(server.url(), *statements)
    assert "the role lacks settings" in await refusal(pooler.url(database))


@pytest.mark.parametrize("pool_mode", ["session"], indirect=True)
async def test_storage_works_with_the_settings_of_the_role(
    server: PostgresServer, pooler: PgBouncer, database: str
) -> None:
    await alter_role(server, pooler, database)
    async with opened(pooler.url(database)) as storage:
        assert storage.loader
        await storage.loader.load([ALICE], [an_order()])
        order = an_order()
        assert await storage.orders.get_owned(order.id, owner=ALICE.id) == order


@pytest.mark.parametrize("pool_mode", ["transaction"], indirect=True)
async def test_pooler_without_prepared_statements_is_refused(
    server: PostgresServer, pooler: PgBouncer, database: str
) -> None:
    await alter_role(server, pooler, database)
    if read_version() >= FIRST_WITH_STATEMENTS:
        async with opened(pooler.url(database)):
            return
    said = await refusal(pooler.url(database))
    assert said == (
        "PostgreSQL: the pooler keeps no prepared statements; PgBouncer needs version 1.21 or"
        " later, with max_prepared_statements above 0 (26000)"
    )


def read_version() -> tuple[int, ...]:
    program = find_program("pgbouncer")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return tuple(map(int, re.findall(r"\d+", said.stdout)[:2]))


@pytest.mark.parametrize("pool_mode", ["session"], indirect=True)
async def test_migration_has_no_time_limit_of_the_role(
    server: PostgresServer, pooler: PgBouncer, database: str
) -> None:
    await alter_role(server, pooler, database)
    database_there = database_at(pooler.url(database), sends_settings=False)
    limits: list[str] = []
    await database_there.migrate(
        lambda connection: limits.extend(
            connection.exec_driver_sql(f"SHOW {limit}").scalar_one() for limit in sorted(LIMITS)
        )
    )
    await database_there.close()
    assert limits == ["0"] * len(LIMITS)


@pytest.mark.parametrize("pool_mode", ["session"], indirect=True)
async def test_start_says_in_one_line_what_the_role_lacks(
    pooler: PgBouncer, database: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": pooler.url(database), "DATABASE_SETTINGS": "role"}
    serve = ["serve", "--port", "0"]
    refused = await asyncio.to_thread(ordergate, *serve, cwd=tmp_path, **settings)
    line = error_line(refused)
    assert "the role lacks settings: ALTER ROLE ordergate SET " in line
