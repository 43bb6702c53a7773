"""All records of the in-memory storage."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import fields
from typing import Any, cast

from ordergate.adapters.memory.tables import StoredToken, Tables
from ordergate.application.errors import StorageNotEmpty
from ordergate.application.ports.archive import (
    RECORD_TYPES,
    AccountKind,
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
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.domain.order import Order
from ordergate.domain.user import PasswordHash, User, Username

_NAMES = tuple(field.name for field in fields(Tables))


class InMemoryArchive(Archive):
    """Sorts the records of a kind by their keys as text."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def count(self, kind: type[Record]) -> int:
        """Count the records."""
        return sum(1 for _ in _READERS[kind](self._tables))

    async def read(self, kind: type[R], *, after: str = "", limit: int) -> tuple[Sequence[R], str]:
        """Sort all records and return a slice."""
        places = {_place(record): record for record in _READERS[kind](self._tables)}
        some = sorted(place for place in places if place > after)[:limit]
        return [cast("R", places[place]) for place in some], some[-1] if some else after

    async def checkpoint(self) -> CopyCheckpoint | None:
        """Return the stored checkpoint."""
        return self._tables.checkpoint

    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        """Fill copies of the dictionaries, then replace the originals."""
        tables = self._tables
        if tables.checkpoint is None and not tables.is_empty:
            raise StorageNotEmpty
        filled = {name: copy(getattr(tables, name)) for name in _NAMES}
        scratch = Tables(**filled)
        for record in records:
            _add(scratch, record)
        for name in filled:
            setattr(tables, name, getattr(scratch, name))
        tables.checkpoint = checkpoint

    async def finish(self) -> None:
        """Remove the checkpoint."""
        self._tables.checkpoint = None


def _read_accounts(tables: Tables) -> Iterator[AccountRecord]:
    for user in tables.users.values():
        yield AccountRecord(user.id, AccountKind.OPEN, user.username, user.password_hash)
    yield from (AccountRecord(user, AccountKind.CLOSED) for user in tables.closed)
    yield from (AccountRecord(user, AccountKind.EXTERNAL) for user in tables.external)


def _read_subjects(tables: Tables) -> Iterator[SubjectRecord]:
    for (issuer, subject), user in tables.subjects.items():
        yield SubjectRecord(issuer, subject, user)


def _read_sessions(tables: Tables) -> Iterator[SessionRecord]:
    for session in tables.sessions.values():
        yield SessionRecord(session, *tables.endings.get(session.id, (None, None)))


def _read_refresh_tokens(tables: Tables) -> Iterator[RefreshTokenRecord]:
    for digest, token in tables.tokens.items():
        yield RefreshTokenRecord(
            digest, token.session, token.expires_at, token.used_at, token.sealed
        )


def _read_orders(tables: Tables) -> Iterator[Order]:
    yield from tables.orders.values()


def _read_keys(tables: Tables) -> Iterator[KeyRecord]:
    for (owner, value), (order_id, expires_at) in tables.keys.items():
        yield KeyRecord(owner, IdempotencyKey(value, expires_at), order_id)


_READERS: Mapping[type[Any], Callable[[Tables], Iterator[Record]]] = dict(
    zip(
        RECORD_TYPES.values(),
        (
            _read_accounts,
            _read_subjects,
            _read_sessions,
            _read_refresh_tokens,
            _read_orders,
            _read_keys,
        ),
        strict=True,
    )
)


def _place(record: Record) -> str:
    match record:
        case AccountRecord():
            return f"{record.id:019}"
        case SubjectRecord():
            return f"{len(record.issuer)} {record.issuer}{record.subject}"
        case SessionRecord():
            return record.session.id
        case RefreshTokenRecord():
            return record.digest.hex()
        case Order():
            return f"{record.owner:019}{record.id:019}"
        case KeyRecord():
            return f"{record.owner:019}{record.key.value}"


def _add(tables: Tables, record: Record) -> None:
    """Add a record. Raises ValueError if it violates integrity."""
    match record:
        case AccountRecord():
            _add_account(tables, record)
        case SubjectRecord(issuer, subject, user):
            _require((issuer, subject) not in tables.subjects, user in tables.external)
            tables.subjects[issuer, subject] = user
        case SessionRecord(session, ended_at, ending):
            _require(session.id not in tables.sessions, tables.has_account(session.user))
            tables.sessions[session.id] = session
            if ended_at:
                tables.endings[session.id] = ended_at, ending
        case RefreshTokenRecord(digest, session_id, expires_at, used_at, sealed):
            _require(digest not in tables.tokens, session_id in tables.sessions)
            tables.tokens[digest] = StoredToken(session_id, expires_at, used_at, sealed)
        case Order(id=order_id, owner=owner):
            _require((owner, order_id) not in tables.orders, tables.has_account(owner))
            tables.orders[owner, order_id] = record
        case KeyRecord(owner, key, order_id):
            _require((owner, key.value) not in tables.keys, (owner, order_id) in tables.orders)
            tables.keys[owner, key.value] = order_id, key.expires_at


def _add_account(tables: Tables, record: AccountRecord) -> None:
    _require(not tables.has_account(record.id))
    match record:
        case AccountRecord(kind=AccountKind.CLOSED):
            tables.closed.add(record.id)
        case AccountRecord(kind=AccountKind.EXTERNAL):
            tables.external.add(record.id)
        case AccountRecord(username=Username() as name, password_hash=str() as password_hash):
            _require(all(user.username != name for user in tables.users.values()))
            tables.users[record.id] = User(record.id, name, PasswordHash(password_hash))
        case _:
            raise ValueError("an open account has a name and a hash")


def _require(*conditions: bool) -> None:
    if not all(conditions):
        raise ValueError("a record is there already, or what it refers to is not")
