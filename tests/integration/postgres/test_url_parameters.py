"""Parameters of a database URL, as servers and sockets receive them."""

import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ordergate.adapters.sql.postgres.connecting.connection import PostgresConnection, connect
from ordergate.adapters.sql.postgres.connecting.readiness import find_reason_to_wait
from ordergate.adapters.sql.postgres.connecting.url import DatabaseUrl
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import StorageUnavailable
from tests.support.databases.postgres import PostgresServer, database_at, execute
from tests.support.program.certificates import write_certificate


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[PostgresConnection]:
    connection = await connect(DatabaseUrl.read(url), seconds=10, statement_seconds=5)
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "ordergate"),
        ("application_name=till%201", "till 1"),
        ("fallback_application_name=till", "till"),
    ],
)
async def test_server_shows_the_name_of_the_application(
    postgres_url: str, query: str, name: str
) -> None:
    async with connected(f"{postgres_url}?{query}") as connection:
        assert await connection.fetchval("SHOW application_name") == name


async def test_options_are_set_beside_our_own(postgres_url: str) -> None:
    query = "options=-c%20search_path=shop,public%20--work-mem=8MB"
    async with connected(f"{postgres_url}?{query}") as connection:
        assert await connection.fetchval("SHOW search_path") == "shop,public"
        assert await connection.fetchval("SHOW work_mem") == "8MB"
        assert await connection.fetchval("SHOW statement_timeout") == "5s"


@pytest.mark.parametrize(
    ("query", "probes"),
    [
        ("", (1, 15, 5, 3, 6_000)),
        ("keepalives_idle=60&keepalives_interval=7&keepalives_count=9", (1, 60, 7, 9, 6_000)),
        ("tcp_user_timeout=4000", (1, 15, 5, 3, 4_000)),
        ("keepalives=0", (0, None, None, None, 0)),
    ],
)
async def test_keepalive_is_that_of_the_url(
    postgres_url: str, query: str, probes: tuple[int | None, ...]
) -> None:
    async with connected(f"{postgres_url}?{query}") as connection:
        read = [connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT"):
            if not hasattr(socket, name):
                pytest.skip(f"this system has no {name}")
            read.append(connection.socket.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)))
    for value, expected in zip(read, probes, strict=True):
        assert expected in {value, None}


async def test_parameters_of_poolers_are_ignored_with_a_warning(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = SqlStorage(database_at(f"{postgres_url}?pgbouncer=true&connection_limit=1"))
    await storage.ping()
    await storage.close()
    (record,) = caplog.records
    assert record.message == "database_parameters_ignored"
    assert vars(record)["parameters"] == "connection_limit, pgbouncer"


# A server with TLS and a socket


@pytest.fixture(scope="module")
def secured(
    postgres_binaries: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresServer]:
    with PostgresServer(postgres_binaries, has_socket=True).running() as server:
        file = write_certificate(tmp_path_factory.mktemp("certificate"))
        for name in ("server.crt", "server.key"):
            copied = server.data / name
            shutil.copyfile(file, copied)
            copied.chmod(0o600)
            owner = server.data.stat()
            shutil.chown(copied, owner.st_uid, owner.st_gid)
        yield server


@pytest.fixture
async def tls_url(secured: PostgresServer) -> str:
    await execute(secured.url(), "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
    return secured.url()


@pytest.mark.parametrize("query", ["sslrootcert=system", "channel_binding=require&sslmode=require"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_certificate_must_be_trusted_by_the_system(
    secured: PostgresServer,
    tls_url: str,
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    trusted: bool,
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(secured.data / "server.crt"))
        async with connected(f"{tls_url}?{query}") as connection:
            ssl = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            assert await connection.fetchval(ssl) is True
        assert await find_reason_to_wait(f"{tls_url}?{query}") is None
    else:
        storage = SqlStorage(database_at(f"{tls_url}?{query}"))
        with pytest.raises(StorageUnavailable, match="TLS failed; look at sslmode, sslrootcert"):
            await storage.ping()
        await storage.close()


async def test_host_may_be_the_folder_of_a_socket(secured: PostgresServer) -> None:
    url = DatabaseUrl.read(secured.url())
    query = f"host={secured.sockets}&port={secured.port}&password={url.password}"
    named = f"postgresql://ordergate@/postgres?{query.replace(' ', '%20')}"
    async with connected(named) as connection:
        assert connection.socket.family == socket.AF_UNIX
    assert await find_reason_to_wait(named) is None


async def test_connections_are_balanced_over_the_usable_hosts(secured: PostgresServer) -> None:
    folder = str(secured.sockets).replace("/", "%2F")
    url = secured.url().replace("@", f"@{folder}:{secured.port},127.0.0.1:1,")
    hosts = database_at(f"{url}?load_balance_hosts=random")._hosts
    seen: set[int] = set()
    while seen != {socket.AF_UNIX, socket.AF_INET}:  # the time limit of a test ends it
        connection = await hosts.connect()
        seen.add(connection.socket.family)
        await connection.close()
