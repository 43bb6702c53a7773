"""Acknowledgements while the synchronous standby is away."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import OutcomeUnknown
from ordergate.application.ports.archive import AccountKind, AccountRecord, CopyCheckpoint
from ordergate.application.ports.orders import IdempotencyKey, OrderQuery
from ordergate.application.ports.sessions import NewSession, TokenExchange
from ordergate.application.ports.users import PasswordChange
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.refresh_token import RefreshToken
from ordergate.domain.scope import Scope
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, UserId, Username
from tests.support.builders import ALICE, AT, a_placed_order
from tests.support.databases.postgres import SynchronousPair, database_at, execute
from tests.support.databases.postgres_waits import eventually

LATER = AT + timedelta(days=1)
CANCEL, TERMINATE = "pg_cancel_backend", "pg_terminate_backend"


def cancelled(stored: Order) -> Order:
    return stored.transition_to(OrderStatus.CANCELLED)


async def open_storage(pair: SynchronousPair, name: str) -> SqlStorage:
    await execute(pair.primary.url(), f"CREATE DATABASE {name} TEMPLATE template0")
    storage = SqlStorage(database_at(pair.primary.url(name)))
    await storage.migrate()
    return storage


@pytest.fixture
async def storage(synchronous_pair: SynchronousPair) -> AsyncIterator[SqlStorage]:
    storage = await open_storage(synchronous_pair, "orders")
    await storage.loader.load([ALICE], [])
    yield storage
    await storage.close()
    await execute(synchronous_pair.primary.url(), "DROP DATABASE orders WITH (FORCE)")


@pytest.fixture
async def empty(synchronous_pair: SynchronousPair) -> AsyncIterator[SqlStorage]:
    storage = await open_storage(synchronous_pair, "empty")
    yield storage
    await storage.close()
    await execute(synchronous_pair.primary.url(), "DROP DATABASE empty WITH (FORCE)")


async def start_session(storage: SqlStorage, name: str, token: RefreshToken) -> SessionId:
    session = Session(
        SessionId(name), ALICE.id, "client", "192.0.2.1", frozenset({Scope.ORDERS_READ}),
        AT, AT, LATER,
    )  # fmt: skip
    assert (
        await storage.sessions.start(
            NewSession(
                session, token.digest, token_expires_at=LATER, password_hash=ALICE.password_hash
            ),
            limit=100,
        )
        is not None
    )
    return session.id


def rotate(storage: SqlStorage, old: RefreshToken, new: RefreshToken) -> Awaitable[object]:
    return storage.sessions.rotate(
        TokenExchange(
            old.digest,
            new.digest,
            sealed=old.seal(new),
            at=AT,
            expires_at=LATER,
            grace=timedelta(seconds=10),
        )
    )


Repeatable = Callable[[SqlStorage, dict[str, SessionId]], Awaitable[object]]
FIRST, SECOND, THIRD = (RefreshToken.new() for _ in range(3))
KEY = IdempotencyKey("a wish", LATER)
REPEATABLE: dict[str, Repeatable] = {
    "an order": lambda s, _: s.orders.add(a_placed_order(11), owner=ALICE.id),
    "an order with a key": lambda s, _: s.orders.add(a_placed_order(12), owner=ALICE.id, key=KEY),
    "the account of a subject": lambda s, _: s.users.get_or_create_by_subject(
        "https://id.example", "carol"
    ),
    "a rotation": lambda s, _: rotate(s, FIRST, SECOND),
    "the end of a session": lambda s, at: s.sessions.end(
        at["ended"], user=ALICE.id, reason=SessionEndReason.REVOKED, at=AT
    ),
    "the end of all sessions": lambda s, _: s.sessions.end_all(
        ALICE.id, reason=SessionEndReason.SIGNED_OUT, at=AT
    ),
}
"""Writes that a client repeats after an unknown outcome, in an order in which all do something."""


async def test_order_that_waits_too_long_for_the_standby_leaves_no_session(
    storage: SqlStorage, synchronous_pair: SynchronousPair
) -> None:
    url = synchronous_pair.primary.url("orders")
    administrator = await asyncpg.connect(url)
    impatient = SqlStorage(database_at(url, statement_seconds=1))
    for number in (11, 12):  # on a new connection, and on one that was idle
        await impatient.ping()
        async with synchronous_pair.standby_away():
            with pytest.raises(OutcomeUnknown, match="stopped waiting for a synchronous standby"):
                await impatient.orders.add(a_placed_order(number), owner=ALICE.id)
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            assert await administrator.fetchval(waiting) == 0
        assert await storage.orders.add(a_placed_order(number), owner=ALICE.id)
    await impatient.close()
    await administrator.close()


async def test_writes_are_not_acknowledged_when_the_standby_is_away(
    storage: SqlStorage, synchronous_pair: SynchronousPair
) -> None:
    sessions = {"ended": await start_session(storage, "ended", RefreshToken.new())}
    await start_session(storage, "rotated", FIRST)
    confirmed = []
    async with synchronous_pair.standby_away():
        for name, write in REPEATABLE.items():
            for attempt in ("first", "second"):
                try:
                    await synchronous_pair.interrupt(write(storage, sessions))
                except OutcomeUnknown:
                    continue
                confirmed.append(f"{name}, {attempt} attempt")
    assert confirmed == []
    done = [await write(storage, sessions) for write in REPEATABLE.values()]
    assert done[:2] == [a_placed_order(11), a_placed_order(12)]
    assert done[2] == await storage.users.get_or_create_by_subject("https://id.example", "carol")
    copies = SqlStorage(database_at(synchronous_pair.standby.url("orders")))

    async def has_both() -> bool:
        return await copies.orders.list_owned(OrderQuery(limit=9), owner=ALICE.id) == done[1::-1]

    await eventually(has_both)
    await copies.close()


async def test_sealed_successor_is_not_returned_when_its_rotation_is_not_confirmed(
    storage: SqlStorage, synchronous_pair: SynchronousPair
) -> None:
    await start_session(storage, "rotated", FIRST)
    await rotate(storage, FIRST, SECOND)
    async with synchronous_pair.standby_away():
        with pytest.raises(OutcomeUnknown):
            await synchronous_pair.interrupt(rotate(storage, SECOND, THIRD))
        with pytest.raises(OutcomeUnknown):
            await synchronous_pair.interrupt(storage.sessions.sealed_successor(SECOND.digest))
        assert await storage.sessions.sealed_successor(THIRD.digest) is None
    assert await storage.sessions.sealed_successor(SECOND.digest) == SECOND.seal(THIRD)


Once = Callable[[SqlStorage, SqlStorage], Awaitable[object]]
ONCE: dict[str, Once] = {
    "users.add": lambda s, _: s.users.add(Username("bob"), PasswordHash("h")),
    "orders.update": lambda s, _: s.orders.update(OrderId(1), owner=ALICE.id, change=cancelled),
    "orders.purge_expired_keys": lambda s, _: s.orders.purge_expired_keys(
        expired_by=LATER, limit=9
    ),
    "sessions.start": lambda s, _: start_session(s, "started", RefreshToken.new()),
    "sessions.purge_ended": lambda s, _: s.sessions.purge_ended(over_by=LATER, limit=9),
    "users.replace_password_hash": lambda s, _: s.users.replace_password_hash(
        ALICE.id, old=ALICE.password_hash, new=PasswordHash("newer")
    ),
    "users.change_password": lambda s, _: s.users.change_password(
        PasswordChange(
            ALICE.id, old=PasswordHash("newer"), new=PasswordHash("newest"), keep=None, at=AT
        )
    ),
    "users.close": lambda s, _: s.users.close(
        ALICE.id, password_hash=PasswordHash("newest"), at=AT
    ),
    "archive.write": lambda _, e: e.archive.write(
        [AccountRecord(UserId(7), AccountKind.CLOSED)],
        checkpoint=CopyCheckpoint("a", "accounts", "7"),
    ),
    "archive.finish": lambda _, e: e.archive.finish(),
}
"""The other writes, in an order in which each finds something to change."""


@pytest.mark.parametrize("how", [CANCEL, TERMINATE])
async def test_interrupted_commit_is_of_unknown_outcome(
    storage: SqlStorage, empty: SqlStorage, synchronous_pair: SynchronousPair, how: str
) -> None:
    await storage.orders.add(a_placed_order(1), owner=ALICE.id, key=IdempotencyKey("key", LATER))
    confirmed = []
    async with synchronous_pair.standby_away():
        for name, write in ONCE.items():
            try:
                await synchronous_pair.interrupt(write(storage, empty), how)
            except OutcomeUnknown:
                continue
            confirmed.append(name)
    assert confirmed == []


@pytest.mark.parametrize("how", [CANCEL, TERMINATE])
async def test_interrupted_load_and_migration_are_of_unknown_outcome(
    empty: SqlStorage, synchronous_pair: SynchronousPair, how: str
) -> None:
    url = synchronous_pair.primary.url("empty")
    async with synchronous_pair.standby_away():
        with pytest.raises(OutcomeUnknown):
            await synchronous_pair.interrupt(empty.loader.load([ALICE], []), how)
    await execute(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    async with synchronous_pair.standby_away():
        with pytest.raises(OutcomeUnknown):
            await synchronous_pair.interrupt(empty.migrate(), how)
    await empty.migrate()
    await empty.open()


async def test_cancelled_wait_is_noticed_when_the_role_hides_warnings(
    storage: SqlStorage, synchronous_pair: SynchronousPair
) -> None:
    primary = synchronous_pair.primary
    await execute(primary.url(), "ALTER ROLE ordergate SET client_min_messages = error")
    other = SqlStorage(database_at(primary.url("orders")))
    async with synchronous_pair.standby_away():
        adding = other.users.add(Username("bob"), PasswordHash("h"))
        with pytest.raises(OutcomeUnknown, match="stopped waiting for a synchronous standby"):
            await synchronous_pair.interrupt(adding, CANCEL)
    await other.close()
    await execute(primary.url(), "ALTER ROLE ordergate RESET client_min_messages")


async def test_reads_are_answered_when_the_standby_is_away(
    storage: SqlStorage, synchronous_pair: SynchronousPair
) -> None:
    await storage.orders.add(a_placed_order(1), owner=ALICE.id)
    async with synchronous_pair.standby_away():
        assert await storage.orders.get_owned(OrderId(1), owner=ALICE.id) == a_placed_order(1)
        assert await storage.orders.list_owned(OrderQuery(limit=9), owner=ALICE.id) == [
            a_placed_order(1)
        ]
        assert await storage.users.find(ALICE.username) == ALICE
        await storage.ping()
