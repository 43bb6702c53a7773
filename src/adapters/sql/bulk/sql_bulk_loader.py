"""Bulk loading of users and orders into SQL."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter
from threading import Event
from typing import TypeVar

from sqlalchemy import Connection, literal, select, text, union_all
from sqlalchemy.exc import IntegrityError

from ordergate.adapters.sql.bulk.bulk_insert import advance_id_sequence, insert_rows
from ordergate.adapters.sql.database import NO_OWNER, Database
from ordergate.adapters.sql.rows import line_rows, order_to_row, user_to_row
from ordergate.adapters.sql.tables import OrderLineRow, OrderRow, UserRow
from ordergate.application.errors import StorageNotEmpty, StorageUnavailable
from ordergate.application.ports.storage import BulkLoader
from ordergate.domain.order import Order
from ordergate.domain.user import User

T = TypeVar("T")

_BATCH = 50_000


class SqlBulkLoader(BulkLoader):
    """Inserts in batches in one transaction, which is rolled back on cancellation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        """Insert users, then orders with their lines."""
        given_up, begun = Event(), Event()

        def work(connection: Connection) -> None:
            self._database.take_turn(connection, NO_OWNER)
            _refuse_unless_empty(connection)
            if begun.is_set():
                raise StorageUnavailable("the load was interrupted; nothing is loaded, try again")
            begun.set()  # the iterables can be read only once
            _load(connection, users, orders, given_up)
            advance_id_sequence(connection)

        try:
            await self._database.write(work)
        except asyncio.CancelledError:
            given_up.set()
            raise
        except IntegrityError:
            raise ValueError(
                "a user or an order is given twice, or an order is without its owner"
            ) from None


def _refuse_unless_empty(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # on SQLite, a write is alone
        connection.execute(text("LOCK TABLE users, orders IN SHARE ROW EXCLUSIVE MODE"))
    if connection.dialect.name == "mysql":
        connection.execute(text("SELECT value FROM secrets FOR UPDATE"))
    anything = union_all(
        *(
            select(literal(1)).select_from(table).limit(1).subquery().select()
            for table in (UserRow, OrderRow)
        )
    )
    if connection.execute(anything).first():
        raise StorageNotEmpty


def _load(
    connection: Connection, users: Iterable[User], orders: Iterable[Order], given_up: Event
) -> None:
    for some_users in _split_into_batches(users):
        _give_up_if(given_up)
        insert_rows(connection, UserRow, [user_to_row(user) for user in some_users])
    for batch in _split_into_batches(orders):
        _give_up_if(given_up)
        batch.sort(key=attrgetter("owner", "id"))
        insert_rows(connection, OrderRow, [order_to_row(order) for order in batch])
        insert_rows(connection, OrderLineRow, [row for order in batch for row in line_rows(order)])
    _give_up_if(given_up)


def _give_up_if(given_up: Event) -> None:
    if given_up.is_set():
        raise InterruptedError


def _split_into_batches(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
