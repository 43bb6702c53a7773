"""Errors of PostgreSQL, reported without values or passwords."""

import socket
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.orders import OrderQuery
from ordergate.domain.user import PasswordHash, Username
from tests.support.builders import ALICE, a_placed_order
from tests.support.databases.postgres import database_at, execute
from tests.support.databases.postgres_waits import assert_unavailable_within


async def test_error_does_not_contain_the_values(storage: SqlStorage, postgres_url: str) -> None:
    with pytest.raises(StorageUnavailable, match=r"a value that it cannot store") as refusal:
        await storage.users.add(Username("bob"), PasswordHash("the-hash\0"))
    assert "the-hash" not in f"{refusal.value}{refusal.value.__cause__}"
    await execute(postgres_url, "ALTER TABLE users RENAME TO others")
    with pytest.raises(StorageUnavailable, match='"users" does not exist') as refusal:
        await storage.users.add(Username("bob"), PasswordHash("the-hash"))
    assert "the-hash" not in f"{refusal.value}{refusal.value.__cause__}"
    assert "INSERT" not in f"{refusal.value}{refusal.value.__cause__}"


async def test_messages_do_not_contain_the_password(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    url = parts._replace(netloc=parts.netloc.replace(parts.password or "", "wr0ng")).geturl()
    with pytest.raises(StorageUnavailable, match="28P01") as refusal:
        await SqlStorage(database_at(url)).open()
    assert "wr0ng" not in f"{refusal.value}{refusal.value.__cause__}"


async def test_missing_certificate_is_reported(postgres_url: str) -> None:
    url = f"{postgres_url}?sslmode=verify-full&sslrootcert=/not/there.pem"
    with pytest.raises(StorageUnavailable, match="No such file"):
        await SqlStorage(database_at(url)).open()


async def test_missing_server_is_unavailable_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    storage = SqlStorage(database_at(f"postgresql://a:b@127.0.0.1:{port}/c"))
    for attempt in (storage.open, storage.ping, storage.migrate):
        await assert_unavailable_within(5, attempt(), "refused|reached")


async def test_first_and_last_times_are_read_unchanged(storage: SqlStorage) -> None:
    times = [
        datetime.min.replace(tzinfo=UTC),
        datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ]
    orders = [a_placed_order(1 + number, at) for number, at in enumerate(times)]
    for order in orders:
        await storage.orders.add(order, owner=ALICE.id)
    assert await storage.orders.list_owned(OrderQuery(limit=9), owner=ALICE.id) == orders[::-1]
