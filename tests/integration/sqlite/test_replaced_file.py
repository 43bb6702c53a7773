"""A SQLite file that is replaced while in use: reads, writes, sessions."""

import asyncio
import json
import logging
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Connection, text

from ordergate.adapters.sql.migrations import HEAD
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.adapters.tokens.external_token_verifier import ExternalTokenVerifier, TrustedIssuer
from ordergate.adapters.tokens.remote.remote_key_set import RemoteKeySet
from ordergate.application.errors import InvalidToken, OutcomeUnknown, StorageUnavailable
from ordergate.application.ports.sessions import NewSession
from ordergate.application.ports.tokens import Caller
from ordergate.application.purpose_keys import KeyPurpose, PurposeKeys
from ordergate.application.sessions.revocation import BoundedRevocation
from ordergate.domain.order import OrderId
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, User, UserId, Username
from tests.support.builders import ALICE, an_order
from tests.support.doubles import SettableClock
from tests.support.program.command import PASSWORD, SECONDS, ordergate
from tests.support.program.server import Server, Start
from tests.support.storage.order_clients import (
    SETTINGS,
    Ledger,
    client,
    list_stored_orders,
    sign_in_user1,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
BOB = User(UserId(1), Username("bob"), ALICE.password_hash)


@pytest.fixture
async def storage(file: Path) -> AsyncIterator[SqlStorage]:
    """Return a storage that was read and written; `alice` has order 1."""
    storage = await create_storage(file, ALICE)
    await storage.orders.add(an_order(1), owner=ALICE.id)
    await read_in_each_way(storage)
    yield storage
    await storage.close()


@pytest.fixture
async def another(tmp_path: Path) -> Path:
    """Make a file that can replace it; user 1 is `bob` there."""
    path = tmp_path / "another.db"
    await (await create_storage(path, BOB)).close()
    return path


async def create_storage(path: Path, *users: User) -> SqlStorage:
    storage = SqlStorage(SqliteDatabase(path))
    await storage.migrate()
    await storage.loader.load(users, [])
    return storage


async def name_by_statement(storage: SqlStorage) -> str:
    user = await storage.users.get(UserId(1))
    assert user is not None
    return user.username.value


def name_in(connection: Connection) -> str:
    return str(connection.scalar(text("SELECT username FROM users WHERE id = 1")))


async def small(storage: SqlStorage) -> str:
    return await storage._database.read(name_in)


async def large(storage: SqlStorage) -> str:
    return await storage._database.read(name_in, large=True)


async def shared(storage: SqlStorage) -> str:
    return await storage._database.read(name_in, shared=True)


async def written(storage: SqlStorage) -> str:
    return await storage._database.write(name_in)


USES = [name_by_statement, small, large, shared, written]


async def read_in_each_way(storage: SqlStorage) -> set[str]:
    return {await use(storage) for use in USES}


def names_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [name for (name,) in connection.execute("SELECT username FROM users ORDER BY id")]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("journals", ["left", "removed"])
async def test_every_use_detects_the_replaced_file(
    storage: SqlStorage,
    file: Path,
    another: Path,
    use: Callable[[SqlStorage], Awaitable[str]],
    journals: str,
) -> None:
    another.rename(file)
    if journals == "removed":
        for suffix in ("-wal", "-shm"):
            Path(f"{file}{suffix}").unlink()
    with pytest.raises(StorageUnavailable, match="replaced or removed"):
        await use(storage)
    assert await use(storage) == "bob"
    assert await storage.orders.get_owned(OrderId(1), owner=ALICE.id) is None
    await storage.users.add(Username("carol"), PasswordHash("hash"))
    assert await read_in_each_way(storage) == {"bob"}
    await storage.ping()
    await storage.close()
    assert names_in(file) == ["bob", "carol"]


async def test_old_file_keeps_its_orders_when_it_is_moved_away(
    storage: SqlStorage, file: Path, another: Path, tmp_path: Path
) -> None:
    file.rename(tmp_path / "old.db")
    another.rename(file)
    await storage.ping()
    assert await small(storage) == "bob"
    await storage.close()
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        assert connection.execute("SELECT id FROM orders").fetchall() == [(1,)]


async def test_write_is_not_acknowledged_when_the_file_is_replaced_during_it(
    storage: SqlStorage, file: Path, another: Path
) -> None:
    def replace_and_add(connection: Connection) -> None:
        another.rename(file)
        connection.execute(text("INSERT INTO users (username, password_hash) VALUES ('eve', '')"))

    with pytest.raises(OutcomeUnknown, match="replaced or removed during a change"):
        await storage._database.write(replace_and_add)
    with pytest.raises(StorageUnavailable):
        await small(storage)
    await storage.users.add(Username("carol"), PasswordHash("hash"))
    await storage.close()
    assert names_in(file) == ["bob", "carol"]


async def test_write_changes_neither_file_when_it_waited_during_the_replacement(
    storage: SqlStorage, file: Path, another: Path
) -> None:
    """Another use has noticed the replacement before the write begins."""
    old = sqlite3.connect(file, isolation_level=None)
    old.execute("BEGIN IMMEDIATE")
    waiting = [
        asyncio.create_task(storage.users.add(Username(name), PasswordHash("hash")))
        for name in ("eve", "mallory")
    ]
    await asyncio.sleep(0)  # they are queued behind the lock
    another.rename(file)
    with suppress(StorageUnavailable):  # the waiting writer may notice the replacement first
        await small(storage)
    assert await small(storage) == "bob"
    old.execute("ROLLBACK")
    for each in waiting:
        with pytest.raises(StorageUnavailable):
            await each
    assert [name for (name,) in old.execute("SELECT username FROM users")] == ["alice"]
    old.close()
    await storage.users.add(Username("carol"), PasswordHash("hash"))
    await storage.close()
    assert names_in(file) == ["bob", "carol"]


@pytest.mark.parametrize("use", USES)
async def test_file_with_another_schema_is_not_used(
    storage: SqlStorage,
    file: Path,
    another: Path,
    use: Callable[[SqlStorage], Awaitable[str]],
) -> None:
    with closing(sqlite3.connect(another)) as connection:
        connection.execute("UPDATE ordergate_version SET version_num = '0001'")
        connection.commit()
    another.rename(file)
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="run `ordergate migrate`"):
            await use(storage)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE ordergate_version SET version_num = ?", (HEAD,))
        connection.commit()
    with pytest.raises(StorageUnavailable, match="replaced or removed"):
        await use(storage)
    assert await use(storage) == "bob"


@pytest.mark.parametrize("use", USES)
async def test_file_is_used_again_when_it_comes_back(
    storage: SqlStorage,
    file: Path,
    tmp_path: Path,
    use: Callable[[SqlStorage], Awaitable[str]],
) -> None:
    file.rename(tmp_path / "away.db")
    with pytest.raises(StorageUnavailable):
        await use(storage)
    (tmp_path / "away.db").rename(file)
    assert await use(storage) == "alice"
    assert await storage.orders.get_owned(OrderId(1), owner=ALICE.id) is not None


async def test_replacement_is_logged_once(
    storage: SqlStorage, file: Path, another: Path, caplog: pytest.LogCaptureFixture
) -> None:
    another.rename(file)
    await storage.ping()
    assert await read_in_each_way(storage) == {"bob"}
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert record.getMessage() == "database_replaced"
    assert vars(record)["file"] == str(file)


# Sessions


def session(name: str, user: UserId = ALICE.id) -> Session:
    return Session(
        SessionId(name),
        user,
        "shop",
        "192.0.2.1",
        frozenset(),
        NOW - timedelta(hours=1),
        NOW - timedelta(hours=1),
        NOW + timedelta(days=30),
    )


async def start(storage: SqlStorage, name: str) -> None:
    assert (
        await storage.sessions.start(
            NewSession(
                session(name),
                TokenDigest(name.encode()),
                token_expires_at=NOW + timedelta(days=30),
                password_hash=ALICE.password_hash,
            ),
            limit=100,
        )
        is not None
    )


async def test_sessions_of_the_new_file_are_used_immediately(
    storage: SqlStorage, file: Path, tmp_path: Path
) -> None:
    """One session has ended there, one is unknown, one is active."""
    for name in ("ended", "unknown", "live"):
        await start(storage, name)
    revocation = BoundedRevocation(
        storage.sessions,
        SettableClock(NOW),
        bound=timedelta(seconds=10),
        lifetime=timedelta(minutes=15),
        ticks=lambda: 0.0,
        identity=storage.identity,
    )
    callers = {name: Caller(ALICE.id, "shop", session=SessionId(name)) for name in
               ("ended", "unknown", "live")}  # fmt: skip
    for caller in callers.values():
        await revocation.check(caller)
    other = await create_storage(tmp_path / "other.db", ALICE)
    for name in ("ended", "live"):
        await start(other, name)
    ten_minutes_ago = NOW - timedelta(minutes=10)
    await other.sessions.end(
        SessionId("ended"), user=ALICE.id, reason=SessionEndReason.REVOKED, at=ten_minutes_ago
    )
    await other.close()
    (tmp_path / "other.db").rename(file)
    with pytest.raises(StorageUnavailable):
        await storage.orders.get_owned(OrderId(1), owner=ALICE.id)
    await revocation.check(callers["live"])
    for name in ("ended", "unknown"):
        with pytest.raises(InvalidToken):
            await revocation.check(callers[name])
    await revocation.check(callers["live"])


# Cached values of the storage


async def test_purpose_keys_are_those_of_the_new_file(
    storage: SqlStorage, file: Path, another: Path
) -> None:
    keys = PurposeKeys(storage)
    old = await keys.get(KeyPurpose.ORDER_CURSORS)
    assert await keys.get(KeyPurpose.ORDER_CURSORS) is old
    another.rename(file)
    await storage.ping()
    new = await keys.get(KeyPurpose.ORDER_CURSORS)
    assert new == await PurposeKeys(storage).get(KeyPurpose.ORDER_CURSORS) != old


async def test_external_subjects_are_looked_up_in_the_new_file(
    storage: SqlStorage, file: Path, another: Path
) -> None:
    verifier = ExternalTokenVerifier(
        users=storage.users,
        clock=SettableClock(NOW),
        issuers=[TrustedIssuer("https://id.example", RemoteKeySet("https://id.example/keys"))],
        audiences=["orders"],
        leeway=timedelta(seconds=5),
        identity=storage.identity,
    )
    await storage.users.get_or_create_by_subject("https://id.example", "somebody else")
    old = await verifier._find_account("https://id.example", "carol")
    assert await verifier._find_account("https://id.example", "carol") == old
    another.rename(file)
    await storage.ping()
    new = await storage.users.get_or_create_by_subject("https://id.example", "carol")
    assert await verifier._find_account("https://id.example", "carol") == new != old


# A server


async def test_acknowledged_orders_are_in_the_file_at_the_path(
    tmp_path: Path, start: Start
) -> None:
    """Replace the file of two workers while clients place orders."""
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    seed = ("seed", "--users", 1, "--orders", 1)
    assert ordergate(*seed, cwd=tmp_path, **SETTINGS, PASSWORD=PASSWORD).returncode == 0
    file = next(tmp_path.rglob("ordergate.db"))
    server: Server = start("serve", "--workers", 2, cwd=tmp_path, **SETTINGS)
    token = sign_in_user1(server.url)
    copy = tmp_path / "copy.db"
    assert ordergate("backup", copy, cwd=tmp_path).returncode == 0
    ledger = Ledger(url=server.url)
    clients = [asyncio.create_task(client(i, ledger, token)) for i in range(8)]
    before: set[str] = set()
    for _ in range(3):
        await more_acknowledged(ledger)
        shutil.copy(copy, tmp_path / "next.db")
        (tmp_path / "next.db").rename(file)
        before = set(ledger.acknowledged)  # an answer under way is in the old file, or in the new
        await more_acknowledged(ledger)
    ledger.stop = True
    await asyncio.gather(*clients)
    assert not ledger.refused, ledger.refused[:3]
    found = {sku for sku, _ in await list_stored_orders(server.url, token)}
    missing = ledger.acknowledged.keys() - before - found
    with suppress(httpx2.HTTPError):
        server.stop()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        in_file = {sku for (sku,) in connection.execute("SELECT sku FROM order_lines")}
    assert found <= in_file
    assert len(missing) <= len(clients), missing
    assert any("database_replaced" in line for line in server.output)


async def test_order_with_a_late_body_belongs_to_no_other_user(
    tmp_path: Path, start: Start
) -> None:
    """The caller's id is another user's in the new file."""
    for name in ("here", "another"):
        (tmp_path / name).mkdir()
        assert ordergate("migrate", cwd=tmp_path / name).returncode == 0
        seed = ("seed", "--users", 1, "--orders", 1)
        done = ordergate(*seed, cwd=tmp_path / name, **SETTINGS, PASSWORD=PASSWORD)
        assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "here").rglob("ordergate.db")
    (another,) = (tmp_path / "another").rglob("ordergate.db")
    server: Server = start("serve", cwd=tmp_path / "here", **SETTINGS)
    token = sign_in_user1(server.url)["Authorization"]
    line = {"sku": "late", "name": "Teapot", "quantity": 1, "unit_price": "1.00"}
    body = json.dumps({"currency": "EUR", "lines": [line]})
    url = httpx2.URL(server.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        f"POST /orders HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Expect: 100-continue\r\nConnection: close\r\n\r\n".encode()
    )
    async with asyncio.timeout(SECONDS), httpx2.AsyncClient(base_url=server.url) as http:
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        read_from = time.monotonic()
        another.rename(file)
        accepted = slow = False
        while not (accepted and slow):
            accepted = (await http.get("/readyz")).status_code == 200 or accepted
            slow = time.monotonic() > read_from + 0.2
        writer.write(body.encode())
        answer = await reader.read()
    writer.close()
    assert answer.split(b" ", 2)[1] == b"401", answer
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1,)


async def more_acknowledged(ledger: Ledger) -> None:
    enough = len(ledger.acknowledged) + 50
    async with asyncio.timeout(SECONDS):
        while len(ledger.acknowledged) < enough:
            await asyncio.sleep(0.01)
