"""PgBouncer in front of a server of our own."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from tests.support.databases.database_server import (
    PASSWORD,
    SECONDS,
    find_free_port,
    find_server_user,
)
from tests.support.databases.postgres import PostgresServer
from tests.support.programs import find_program


class PgBouncer:
    """A pooler at the databases of a server."""

    def __init__(self, server: PostgresServer, port: int) -> None:
        self._server = server
        self.port = port

    def url(self, database: str) -> str:
        """Return the URL of a database through the pooler."""
        parts = urlsplit(self._server.url(database))
        account = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{account}@127.0.0.1:{self.port}").geturl()

    async def command(self, text: str) -> None:
        """Run a command of the administrator, such as RECONNECT."""
        administrator = await asyncpg.connect(
            self.url("pgbouncer"), statement_cache_size=0, server_settings={}
        )
        try:
            await administrator.execute(text)
        finally:
            await administrator.close()


@contextmanager
def run_pgbouncer(server: PostgresServer, pool_mode: str) -> Iterator[PgBouncer]:
    """Run a pooler, and remove it afterwards."""
    program = find_program("pgbouncer")
    folder = Path(tempfile.mkdtemp(prefix="ordergate-pgbouncer-"))
    port = find_free_port()
    (folder / "users").write_text(f'"ordergate" "{PASSWORD}"\n')
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"""[databases]
* = host=127.0.0.1 port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder / "users"}
admin_users = ordergate
pool_mode = {pool_mode}
server_login_retry = 1
"""
    )
    user = find_server_user()
    for path in (folder, *folder.iterdir()):
        if user:
            shutil.chown(path, user)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, configuration], stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user
        )
    try:
        pooler = PgBouncer(server, port)
        _wait_until_it_answers(pooler, folder / "log", process)
        yield pooler
    finally:
        process.terminate()
        process.wait(SECONDS)
        shutil.rmtree(folder)


def _wait_until_it_answers(
    pooler: PgBouncer, log: Path, process: "subprocess.Popen[bytes]"
) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            asyncio.run(pooler.command("SHOW VERSION"))
        except (OSError, asyncpg.PostgresError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text()[-2_000:]) from None
            time.sleep(0.02)
        else:
            return
