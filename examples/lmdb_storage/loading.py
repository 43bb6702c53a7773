"""The bulk loader and the archive."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from ordergate.application.errors import StorageNotEmpty
from ordergate.application.ports.archive import (
    AccountRecord,
    Archive,
    CopyCheckpoint,
    KeyRecord,
    R,
    Record,
    RefreshTokenRecord,
    SessionRecord,
    SubjectRecord,
)
from ordergate.application.ports.storage import BulkLoader
from ordergate.domain.order import Order
from ordergate.domain.user import User

from .database import LmdbDatabase
from .keys import CHECKPOINT_KEY
from .records import ACCOUNTS, KEYS, ORDERS, SESSIONS, SUBJECTS, TOKENS
from .transactions import Table, Transaction
from .users import to_account_record


class LmdbBulkLoader(BulkLoader):
    """Writes everything in one transaction."""

    def __init__(self, database: LmdbDatabase) -> None:
        self._database = database

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        """Write users, then orders."""

        def work(view: Transaction) -> None:
            require_empty(view)
            for user in users:
                ACCOUNTS.add(view, to_account_record(user))
            for order in orders:
                ORDERS.add(view, order)

        await self._database.write(work)


TABLES: Mapping[type[Any], Table[Any]] = {
    AccountRecord: ACCOUNTS,
    SubjectRecord: SUBJECTS,
    SessionRecord: SESSIONS,
    RefreshTokenRecord: TOKENS,
    Order: ORDERS,
    KeyRecord: KEYS,
}


class LmdbArchive(Archive):
    """Reads records in the order of their keys.

    A place is a key without its first byte, as hexadecimal digits.
    """

    def __init__(self, database: LmdbDatabase) -> None:
        self._database = database

    async def count(self, kind: type[Record]) -> int:
        """Count the keys."""
        return self._database.read(lambda view: sum(1 for _ in view.scan(TABLES[kind].kind)))

    async def read(self, kind: type[R], *, after: str = "", limit: int) -> tuple[Sequence[R], str]:
        """Read from behind the key on."""
        table: Table[R] = TABLES[kind]
        start = bytes.fromhex(after) + b"\0" if after else b""
        found = self._database.read(
            lambda view: list(islice(view.scan(table.kind, start=start), limit))
        )
        return [table.read(value) for _, value in found], found[-1][0].hex() if found else after

    async def checkpoint(self) -> CopyCheckpoint | None:
        """Look the key up."""
        stored = self._database.read(lambda view: view.get(CHECKPOINT_KEY))
        return CopyCheckpoint(*json.loads(stored)) if stored else None

    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        """Add all, and put the checkpoint."""

        def work(view: Transaction) -> None:
            if not view.get(CHECKPOINT_KEY):
                require_empty(view)
            for record in records:
                TABLES[type(record)].add(view, record)
            place = [checkpoint.source, checkpoint.kind, checkpoint.after]
            view.put(CHECKPOINT_KEY, json.dumps(place).encode())

        await self._database.write(work)

    async def finish(self) -> None:
        """Remove the key."""
        await self._database.write(lambda view: view.delete(CHECKPOINT_KEY))


def require_empty(view: Transaction) -> None:
    """Everything belongs to an account."""
    if view.any(ACCOUNTS.kind):
        raise StorageNotEmpty
