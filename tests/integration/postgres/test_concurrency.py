"""Transactions on PostgreSQL that meet others."""

import asyncio
from datetime import timedelta

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.util import await_only

from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.ports.sessions import NewSession
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.scope import Scope
from ordergate.domain.session import Session, SessionId
from ordergate.domain.user import PasswordHash, Username
from tests.support.builders import ALICE, AT, a_placed_order
from tests.support.databases.postgres import execute
from tests.support.databases.postgres_waits import wait_for_blocked_lock


async def test_deadlock_is_retried(
    database: PostgresDatabase,
    storage: SqlStorage,
    rival: "asyncpg.Connection[asyncpg.Record]",
    postgres_url: str,
) -> None:
    bob = await storage.users.add(Username("bob"), PasswordHash("h"))
    attempts = []

    def work(connection: Connection) -> int:
        attempts.append(1)
        for user in (ALICE, bob):
            connection.execute(
                text("UPDATE users SET password_hash = 'ours' WHERE id = :id"), {"id": user.id}
            )
        return len(attempts)

    await rival.execute("SET deadlock_timeout = '20s'")
    async with rival.transaction():
        await rival.execute("UPDATE users SET password_hash = 'theirs' WHERE id = $1", bob.id)
        writing = asyncio.create_task(database.write(work))
        watcher = await asyncpg.connect(postgres_url)
        await wait_for_blocked_lock(watcher)
        await watcher.close()
        await rival.execute("UPDATE users SET password_hash = 'theirs' WHERE id = $1", ALICE.id)
    assert await writing == 2
    assert database.count_work().repetitions == 1
    assert await rival.fetchval("SELECT count(*) FROM users WHERE password_hash = 'ours'") == 2


async def test_serialization_failure_is_retried(
    database: PostgresDatabase, storage: SqlStorage, postgres_url: str
) -> None:
    attempts = []

    def work(connection: Connection) -> int:
        attempts.append(1)
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        connection.execute(text("SELECT count(*) FROM users"))
        if len(attempts) == 1:
            await_only(execute(postgres_url, "UPDATE users SET password_hash = 'theirs'"))
        connection.execute(text("UPDATE users SET password_hash = 'ours'"))
        return len(attempts)

    assert await database.write(work) == 2


async def test_sign_in_is_refused_while_the_password_changes(
    storage: SqlStorage, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    session = Session(
        SessionId("s" * 22), ALICE.id, "client", "192.0.2.1", frozenset({Scope.ORDERS_READ}),
        AT, AT, AT + timedelta(days=1),
    )  # fmt: skip
    async with rival.transaction():
        await rival.execute("UPDATE users SET password_hash = 'new'")
        starting = asyncio.create_task(
            storage.sessions.start(
                NewSession(
                    session,
                    TokenDigest(b"d" * 32),
                    token_expires_at=session.expires_at,
                    password_hash=ALICE.password_hash,
                ),
                limit=100,
            )
        )
        await wait_for_blocked_lock(rival)
    assert not await starting
    assert await rival.fetchval("SELECT count(*) FROM sessions") == 0


async def test_order_is_refused_while_the_account_closes(
    storage: SqlStorage, rival: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with rival.transaction():
        await rival.execute("UPDATE users SET username = ' closed 1', password_hash = ''")
        adding = asyncio.create_task(storage.orders.add(a_placed_order(), owner=ALICE.id))
        await wait_for_blocked_lock(rival)
    assert await adding is None
    assert await rival.fetchval("SELECT count(*) FROM orders") == 0
