"""Loading users and orders into SQL by the thousand."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter
from threading import Event
from typing import Any, TypeVar

from sqlalchemy import Connection, insert, literal, select, union_all
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from adapters.sql.database import Database
from adapters.sql.rows import line_rows, order_row, user_row
from adapters.sql.tables import OrderLineRow, OrderRow, UserRow
from application.errors import StorageNotEmpty
from application.ports.storage import BulkLoader
from domain.order import Order
from domain.user import User

T = TypeVar("T")

_BATCH = 50_000


class SqlBulkLoader(BulkLoader):
    """Inserts in batches within one transaction; when the caller gives up, it is rolled back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        """Insert users, then orders with their lines."""
        given_up = Event()
        try:
            await self._database.write(
                lambda connection: _load(connection, users, orders, given_up)
            )
        except asyncio.CancelledError:
            given_up.set()
            raise
        except IntegrityError:
            raise ValueError(
                "a user or an order is given twice, or an order is without its owner"
            ) from None


def _load(
    connection: Connection, users: Iterable[User], orders: Iterable[Order], given_up: Event
) -> None:
    anything = union_all(
        *(
            select(literal(1)).select_from(table).limit(1).subquery().select()
            for table in (UserRow, OrderRow)
        )
    )
    if connection.execute(anything).first():
        raise StorageNotEmpty
    for some_users in _batches(users):
        _give_up_if(given_up)
        _insert(connection, UserRow, [user_row(user) for user in some_users])
    for batch in _batches(orders):
        _give_up_if(given_up)
        batch.sort(key=attrgetter("owner", "id"))
        _insert(connection, OrderRow, [order_row(order) for order in batch])
        _insert(connection, OrderLineRow, [row for order in batch for row in line_rows(order)])
    _give_up_if(given_up)


def _give_up_if(given_up: Event) -> None:
    if given_up.is_set():
        raise InterruptedError


def _insert(connection: Connection, table: type[SQLModel], rows: list[dict[str, Any]]) -> None:
    connection.execute(insert(table), rows)


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
