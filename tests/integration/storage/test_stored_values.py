"""Values stored under other rules are read, changed, copied and sign in.

Another version of this program, or of Python's Unicode, may have stored it.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from ordergate.adapters.memory import InMemoryStorage
from ordergate.adapters.sql.database import Database
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.errors import RecordRefused
from ordergate.application.maintenance.copy_storage import CopyStorage
from ordergate.application.ports.archive import AccountKind, AccountRecord, SessionRecord
from ordergate.application.ports.orders import OrderQuery
from ordergate.application.ports.storage import Storage
from ordergate.domain.money import Money
from ordergate.domain.order import TRANSITIONS, Order, OrderId, OrderLine, OrderStatus
from ordergate.domain.session import Session, SessionId
from ordergate.domain.user import User, UserId, Username
from tests.support.api.http_client import problem, sign_in
from tests.support.builders import ALICE, TEAPOT, an_order
from tests.support.databases.postgres import database_at
from tests.support.program.command import PASSWORD
from tests.support.properties import at_most
from tests.support.storage.storage_calls import MARK, get_archive, get_loader, read_all
from tests.support.storage.stored_rows import AT, corrupt, hashed, run, served

CHECKS = {
    "orders": ["ck_orders_status"],
    "order_lines": ["ck_order_lines_quantity", "ck_order_lines_unit_price"],
}
NAMES = [
    "user\u0378",  # unassigned in every version of Unicode so far
    "\U0001fae8",  # an emoji of Unicode 15
    "Alice",  # not prepared
    "two words",
    "a\u00a0b",
    "x" * 64,
]

Storages = Callable[[], AsyncIterator[Storage]]


@pytest.fixture(params=["memory", "SQLite", "PostgreSQL"])
def engine(request: pytest.FixtureRequest) -> str:
    """Return the name of a storage, or the URL of a database."""
    if request.param == "PostgreSQL":
        return str(request.getfixturevalue("postgres_url"))
    return str(request.param)


@pytest.fixture
async def storage(engine: str, tmp_path: Path) -> AsyncIterator[Storage]:
    """Return a storage whose schema takes any values, like another version's."""
    match engine:
        case "memory":
            yield InMemoryStorage()
            return
        case "SQLite":
            database: Database = SqliteDatabase(tmp_path / "orders.db")
            await SqlStorage(database).migrate()
            await database.write(
                lambda connection: connection.execute(text("PRAGMA ignore_check_constraints = ON"))
            )
        case _:
            database = database_at(engine)
            for table, names in CHECKS.items():
                for name in names:
                    await run(database, f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    storage = SqlStorage(database)
    await storage.open()
    yield storage
    await storage.close()


async def empty(storage: Storage) -> None:
    if isinstance(storage, InMemoryStorage):
        vars(storage).update(vars(InMemoryStorage()))
        return
    assert isinstance(storage, SqlStorage)
    for table in ("refresh_tokens", "sessions", "order_lines", "orders", "users"):
        await run(storage.users._database, f"DELETE FROM {table}")


_any_text = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@st.composite
def orders_that_break_rules(draw: st.DrawFn) -> Order:
    """Any order of alice that a table can hold, valid or not."""
    currency = draw(st.sampled_from(["EUR", "BGN", "XXZ", "eur", "\U0001fae8", ""]))
    lines = st.builds(
        OrderLine,
        sku=st.text(_any_text, max_size=64),
        name=st.text(_any_text, max_size=200),
        quantity=st.integers(-(2**31), 2**31 - 1),
        unit_price=st.builds(Money, st.integers(-(2**63), 2**63 - 1), st.just(currency)),
    )
    return Order(
        id=OrderId(draw(st.integers(1, 2**63 - 1))),
        owner=ALICE.id,
        status=draw(st.sampled_from(OrderStatus) | st.text(_any_text, max_size=16)),
        placed_at=draw(st.datetimes(timezones=st.just(UTC))),
        lines=tuple(draw(st.lists(lines, min_size=1, max_size=3)))
        + (teapot_in(currency),) * draw(st.sampled_from([0, 0, 0, 101])),
        version=draw(st.integers(-(2**31), 2**31 - 2)),
    )


def teapot_in(currency: str) -> OrderLine:
    return replace(TEAPOT, unit_price=Money(6400, currency))


@at_most(40)
@given(order=orders_that_break_rules())
async def test_order_that_breaks_current_rules_is_readable(storage: Storage, order: Order) -> None:
    await empty(storage)
    alice = replace(ALICE, password_hash=await hashed())
    await get_loader(storage).load([alice], [order])
    assert await storage.orders.get_owned(order.id, owner=alice.id) == order
    assert list(await storage.orders.list_owned(OrderQuery(limit=2), owner=alice.id)) == [order]
    assert await read_all(storage, "orders") == [order]
    copy = InMemoryStorage()
    assert (await CopyStorage(storage, copy)())["orders"] == 1
    assert copy.tables.orders[alice.id, order.id] == order
    async with await served(storage) as client:
        user = await sign_in(client, "alice")
        shown = await client.get(f"/order?id={order.id}", headers=user)
        assert shown.status_code == 200, shown.text
        assert shown.json()["status"] == order.status
        assert [line["name"] for line in shown.json()["lines"]] == [e.name for e in order.lines]
        listed = await client.get("/orders", headers=user)
        assert listed.json()["orders"] == [shown.json()]
        cancelled = await client.post(f"/orders/{order.id}/cancel", headers=user)
        may_be_cancelled = OrderStatus.CANCELLED in TRANSITIONS.get(order.status, ())
        assert cancelled.status_code == (200 if may_be_cancelled else 409), cancelled.text
        if may_be_cancelled:
            assert cancelled.json() == shown.json() | {"status": "cancelled"}
        else:
            assert problem(cancelled)["type"] == "urn:problem-type:ordergate:invalid-transition"


@pytest.mark.parametrize("name", NAMES)
async def test_name_that_breaks_current_rules_signs_in(storage: Storage, name: str) -> None:
    other = User(UserId(2), Username("another"), await hashed())
    user = User(UserId(1), Username(name), await hashed("a\u0378\tpassword \U0001fadc"))
    await get_loader(storage).load([user, other], [an_order()])
    assert await storage.users.find(Username(name)) == user
    assert await storage.users.get(user.id) == user
    assert await read_all(storage, "accounts") == [
        AccountRecord(each.id, AccountKind.OPEN, each.username, each.password_hash)
        for each in (user, other)
    ]
    async with await served(storage) as client:
        form = {"username": name, "password": "a\u0378\tpassword \U0001fadc"}
        tokens = await client.post("/login", data=form)
        assert tokens.status_code == 200, tokens.text
        bearer = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
        me = await client.get("/me", headers=bearer)
        assert me.json() == {"id": 1, "username": name}
        refused = await client.post("/login", data=form | {"password": PASSWORD})
        assert refused.status_code == 400


async def test_name_of_a_closed_account_does_not_sign_in(storage: Storage) -> None:
    alice = await storage.users.add(ALICE.username, ALICE.password_hash)
    await storage.users.close(alice.id, password_hash=ALICE.password_hash, at=AT)
    subject = await storage.users.get_or_create_by_subject("issuer", "subject")
    for name in (f" closed {alice.id}", f" closed {subject}"):
        assert await storage.users.find(Username(name)) is None


async def test_session_of_another_version_is_shown_refreshed_and_copied(
    storage: Storage,
) -> None:
    alice = AccountRecord(ALICE.id, AccountKind.OPEN, ALICE.username, await hashed())
    scope = frozenset({"account", "orders:read", "payments:write"})
    now = datetime.now(UTC)
    session = Session(
        SessionId("1" * 32), ALICE.id, "shop", "::1", scope, now, now, now + timedelta(days=1)
    )
    ended = SessionRecord(replace(session, id=SessionId("2" * 32)), now, "moved to Mars")
    for records in ([alice], [SessionRecord(session), ended]):
        await get_archive(storage).write(records, checkpoint=MARK)
    await get_archive(storage).finish()
    assert sorted(await read_all(storage, "sessions"), key=repr) == [
        SessionRecord(session),
        ended,
    ]
    copy = InMemoryStorage()
    await CopyStorage(storage, copy)()
    assert list(copy.tables.sessions.values()) == [session, ended.session]
    assert copy.tables.endings == {ended.session.id: (now, "moved to Mars")}


async def test_refresh_grants_no_unknown_scope(storage: Storage) -> None:
    await get_loader(storage).load([replace(ALICE, password_hash=await hashed())], [])
    async with await served(storage) as client:
        tokens = (
            await client.post("/login", data={"username": "alice", "password": PASSWORD})
        ).json()
        await widen(storage)
        renewed = await client.post(
            "/login",
            data={"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
        )
        assert renewed.status_code == 200, renewed.text
        assert renewed.json()["scope"] == "account orders:read orders:write"
        bearer = {"Authorization": f"Bearer {renewed.json()['access_token']}"}
        (shown,) = (await client.get("/sessions", headers=bearer)).json()
        assert shown["scope"] == "account orders:read orders:write payments:write"


async def widen(storage: Storage) -> None:
    """Add a scope to every session, as another version does."""
    if isinstance(storage, InMemoryStorage):
        for session in storage.tables.sessions.values():
            wider = replace(session, scope=session.scope | {"payments:write"})
            storage.tables.sessions[session.id] = wider
    else:
        assert isinstance(storage, SqlStorage)
        await run(
            storage.users._database,
            "UPDATE sessions SET scope = scope || ' payments:write'",
        )


@pytest.mark.parametrize("target", ["SQLite", "PostgreSQL"])
async def test_copy_accepts_records_that_the_schemas_constraints_refuse(
    file: Path, target: str, tmp_path: Path, postgres_url: str
) -> None:
    corrupt(
        file,
        "UPDATE orders SET status = 'returned' WHERE id = 1",
        "UPDATE order_lines SET quantity = 2000000 WHERE order_id = 2",
        "UPDATE order_lines SET unit_price = -100 WHERE order_id = 3",
    )
    database: Database = (
        SqliteDatabase(tmp_path / "copy.db") if target == "SQLite" else database_at(postgres_url)
    )
    source, copy = SqlStorage(SqliteDatabase(file)), SqlStorage(database)
    await copy.migrate()
    for storage in (source, copy):
        await storage.open()
    assert (await CopyStorage(source, copy, batch=2)())["orders"] == 10
    order = await copy.orders.get_owned(OrderId(1), owner=ALICE.id)
    assert order == await source.orders.get_owned(OrderId(1), owner=ALICE.id)
    assert order is not None
    assert order.status == "returned"
    for order_id in (2, 3):
        assert await copy.orders.update(
            OrderId(order_id), owner=ALICE.id, change=lambda o: o.transition_to(OrderStatus.SHIPPED)
        )
    for rule_breaker in (
        "UPDATE orders SET status = 'lost' WHERE id = 4",
        "UPDATE order_lines SET quantity = 0 WHERE order_id = 4",
        "UPDATE order_lines SET unit_price = -1 WHERE order_id = 4",
    ):
        with pytest.raises(IntegrityError):
            await run(database, rule_breaker)
    for storage in (source, copy):
        await storage.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE order_lines SET name = hex(zeroblob(101)) WHERE order_id = 3 AND position = 1",
            "owner_id 1, order_id 3, position 1 .* name has more than 200 characters",
        ),
        (
            "UPDATE order_lines SET sku = 'a' || char(0) WHERE order_id = 3",
            "owner_id 1, order_id 3, position 0 .* sku has a NUL character",
        ),
        (
            "UPDATE order_lines SET quantity = 3000000000 WHERE order_id = 3",
            "owner_id 1, order_id 3, position 0 .* quantity is an integer of more than 32 bits",
        ),
        (
            "UPDATE users SET username = 'alice' || hex(zeroblob(30)) WHERE id = 1",
            "id 1 .* username has more than 64 characters",
        ),
    ],
    ids=["name", "sku", "quantity", "username"],
)
async def test_copy_names_records_that_its_target_cannot_hold(
    file: Path, statement: str, message: str, postgres_url: str
) -> None:
    corrupt(file, statement)
    source, copy = SqlStorage(SqliteDatabase(file)), SqlStorage(database_at(postgres_url))
    for storage in (source, copy):
        await storage.open()
    with pytest.raises(RecordRefused, match=message):
        await CopyStorage(source, copy)()
    for storage in (source, copy):
        await storage.close()
