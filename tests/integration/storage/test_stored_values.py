"""What was stored under other rules is read, listed, changed, copied and signs its user in.

Another version of this program, or of Python's Unicode, may have stored it.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from ordergate.adapters.memory import InMemoryStorage
from ordergate.adapters.sql.database import Database
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.adapters.sql.sqlite.database import SqliteDatabase
from ordergate.application.errors import RecordRefused, RecordUnreadable
from ordergate.application.maintenance.copy_storage import CopyStorage
from ordergate.application.ports.archive import AccountKind, AccountRecord, SessionRecord
from ordergate.application.ports.orders import OrderQuery
from ordergate.application.ports.storage import Storage
from ordergate.domain.money import Money
from ordergate.domain.order import TRANSITIONS, Order, OrderId, OrderLine, OrderStatus
from ordergate.domain.session import Session, SessionId
from ordergate.domain.user import Password, PasswordHash, User, UserId, Username
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.builders import ALICE, BOB, TEAPOT, an_order
from tests.support.command import PASSWORD, ordergate
from tests.support.doubles import InstantPasswordHasher
from tests.support.http_client import problem, sign_in
from tests.support.postgres import database_at
from tests.support.properties import at_most
from tests.support.storage_calls import MARK, get_archive, get_loader, read_all

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
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
    """Return a storage whose schema, as that of another version, takes any values."""
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


async def run(database: Database, *statements: str) -> None:
    for statement in statements:
        await database.write(partial(Connection.execute, statement=text(statement)))


async def empty(storage: Storage) -> None:
    if isinstance(storage, InMemoryStorage):
        storage.__init__()  # type: ignore[misc]
        return
    assert isinstance(storage, SqlStorage)
    for table in ("refresh_tokens", "sessions", "order_lines", "orders", "users"):
        await run(storage.users._database, f"DELETE FROM {table}")


async def served(storage: Storage) -> httpx.AsyncClient:
    container = Container(
        settings=Settings(signing_secret="a secret of more than thirty-two bytes"),
        storage=storage,
        hasher=InstantPasswordHasher(),
    )
    transport = httpx.ASGITransport(create_app(container), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://in.process")


async def hashed(password: str = PASSWORD) -> PasswordHash:
    return await InstantPasswordHasher().hash(Password(password))


_any_text = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@st.composite
def orders_that_break_rules(draw: st.DrawFn) -> Order:
    """Any order of alice that the columns of a table can hold, valid today or not."""
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


# Rows that cannot be read


BROKEN = {
    "it has no lines": "DELETE FROM order_lines WHERE order_id = {}",
    "name of line 0": "UPDATE order_lines SET name = x'ff00' WHERE order_id = {}",
    "quantity of line 0": "UPDATE order_lines SET quantity = 'many' WHERE order_id = {}",
    "unit_price of line 0": "UPDATE order_lines SET unit_price = 1.5 WHERE order_id = {}",
    "of line x": "UPDATE order_lines SET position = 'x' WHERE order_id = {} AND position = 1",
    "placed_at": "UPDATE orders SET placed_at = '2026-13-45 99:00' WHERE id = {}",
    "currency": "UPDATE orders SET currency = x'00' WHERE id = {}",
    "version": "UPDATE orders SET version = 'first' WHERE id = {}",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a database where alice has orders 1 to 9, and bob one."""
    file = tmp_path / ".ordergate" / "ordergate.db"
    asyncio.run(fill(file))
    return file


async def fill(file: Path) -> None:
    storage = SqlStorage(SqliteDatabase(file))
    await storage.migrate()
    await storage.open()
    password = await hashed()
    orders = [replace(an_order(i), placed_at=AT + timedelta(days=i)) for i in range(1, 10)]
    await storage.loader.load(
        [replace(ALICE, password_hash=password), replace(BOB, password_hash=password)],
        [*orders, an_order(10, owner=BOB.id)],
    )
    await storage.close()


def corrupt(file: Path, *statements: str) -> None:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for statement in statements:
        connection.execute(statement)
    connection.close()


async def walk(client: httpx.AsyncClient, address: str, user: Mapping[str, str]) -> list[list[int]]:
    """Return the ids of all pages."""
    pages: list[list[int]] = []
    following: str | None = address
    while following:
        page = await client.get(following, headers=user)
        assert page.status_code == 200, page.text
        pages.append([order["id"] for order in page.json()["orders"]])
        following = page.links.get("next", {}).get("url")
    return pages


@pytest.mark.parametrize("reason", BROKEN)
async def test_unreadable_order_is_named_and_affects_no_other(
    file: Path, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    corrupt(file, BROKEN[reason].format(5))
    storage = SqlStorage(SqliteDatabase(file))
    await storage.open()
    async with await served(storage) as client:
        user = await sign_in(client, "alice")
        caplog.clear()
        assert await walk(client, "/orders?limit=2", user) == [[9, 8], [7, 6], [4, 3], [2, 1]]
        named = [r.message for r in caplog.records if r.name == "ordergate.storage"]
        assert named
        for message in named:
            assert message.startswith("the order 5 of account 1 cannot be read as it is stored: ")
            assert reason in message
        assert (await client.get("/order?id=4", headers=user)).status_code == 200
        caplog.clear()
        for method, address in (("GET", "/order?id=5"), ("POST", "/orders/5/cancel")):
            answer = await client.request(method, address, headers=user)
            assert answer.status_code == 500
            body = problem(answer)
            assert body["type"] == "urn:problem-type:ordergate:record-unreadable"
            assert "5" not in str(body["detail"])
        reasons = [vars(r)["reason"] for r in caplog.records if r.message == "request_failed"]
        assert len(reasons) == 2
        assert all("the order 5 of account 1" in each for each in reasons)
    with pytest.raises(RecordUnreadable, match="order 5 of account 1"):
        await CopyStorage(storage, InMemoryStorage())()
    await storage.close()


@pytest.mark.parametrize("limit", [1, 2, 3, 9, 50])
async def test_pages_continue_past_unreadable_orders(file: Path, limit: int) -> None:
    corrupt(file, *(BROKEN["it has no lines"].format(i) for i in (1, 3, 4, 5, 6, 7, 9)))
    storage = SqlStorage(SqliteDatabase(file))
    await storage.open()
    async with await served(storage) as client:
        user = await sign_in(client, "alice")
        pages = await walk(client, f"/orders?limit={limit}", user)
        assert [each for page in pages for each in page] == [8, 2]
        assert all(len(page) <= limit for page in pages)
        paid = await walk(client, f"/orders?limit={limit}&status=paid", user)
        assert paid == pages
    await storage.close()


async def test_order_without_lines_is_unreadable_on_postgresql(postgres_url: str) -> None:
    database = database_at(postgres_url)
    storage = SqlStorage(database)
    await storage.open()
    await storage.loader.load([ALICE], [an_order(i) for i in (5, 6)])
    await run(database, "DELETE FROM order_lines WHERE order_id = 6")
    assert await storage.orders.list_owned(OrderQuery(limit=1), owner=ALICE.id) == [an_order(5)]
    with pytest.raises(RecordUnreadable, match=r"order 6 of account 1 .* it has no lines"):
        await storage.orders.get_owned(OrderId(6), owner=ALICE.id)
    with pytest.raises(RecordUnreadable, match="order 6 of account 1"):
        await storage.archive.read(Order, limit=9)
    await storage.close()


@pytest.mark.parametrize("column", ["scope", "started_at", "last_used_at", "expires_at"])
async def test_unreadable_session_affects_no_other(
    file: Path, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = SqlStorage(SqliteDatabase(file))
    await storage.open()
    async with await served(storage) as client:
        form = {"username": "alice", "password": PASSWORD}
        broken = (await client.post("/login", data=form)).json()
        (session,) = await storage.sessions.list_active(ALICE.id, at=datetime.now(UTC), limit=9)
        user = await sign_in(client, "alice")
        corrupt(file, f"UPDATE sessions SET {column} = x'39' WHERE id = '{session.id}'")
        shown = await client.get("/sessions", headers=user)
        assert [each["id"] == session.id for each in shown.json()] == [False]
        assert f"the session {session.id} cannot be read" in caplog.text
        renewal = {"grant_type": "refresh_token", "refresh_token": broken["refresh_token"]}
        assert (await client.post("/login", data=renewal)).status_code == 400
    with pytest.raises(RecordUnreadable, match=f"session {session.id}"):
        await CopyStorage(storage, InMemoryStorage())()
    await storage.close()


async def test_session_without_an_end_time_has_ended(file: Path) -> None:
    storage = SqlStorage(SqliteDatabase(file))
    await storage.open()
    async with await served(storage) as client:
        await sign_in(client, "alice")
    (session,) = await storage.sessions.list_active(ALICE.id, at=datetime.now(UTC), limit=9)
    corrupt(file, "UPDATE sessions SET ended_at = 'yesterday'")
    assert await storage.sessions.ended_since(AT) == {session.id: AT}
    assert not await storage.sessions.is_active(session.id, user=ALICE.id, at=AT)
    await storage.close()


# Copies


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


# Commands


def test_commands_work_on_records_of_other_versions(file: Path) -> None:
    folder = file.parents[1]
    corrupt(
        file,
        "UPDATE users SET username = 'Al\U0001faceice\u0378' WHERE id = 1",
        "UPDATE order_lines SET name = 'Teapot \U0001fae8 \U0001fadc' WHERE order_id = 1",
        "UPDATE orders SET currency = 'XXZ' WHERE id = 2",
        "UPDATE order_lines SET quantity = 2000000 WHERE order_id = 3",
        "UPDATE orders SET status = 'returned' WHERE id = 4",
    )
    for order in (1, 2, 3):
        done = ordergate(
            "orders", "advance", order, "shipped", "--owner", "Al\U0001faceice\u0378", cwd=folder
        )
        assert done.stdout == f"Order {order} of Al\U0001faceice\u0378 is shipped.\n", done.stderr
    refused = ordergate("orders", "advance", 4, "shipped", cwd=folder)
    assert refused.returncode == 1
    assert "'returned', which this release does not know" in refused.stderr
