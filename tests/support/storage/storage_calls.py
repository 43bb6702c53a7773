"""Calls of a storage that several contracts share."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from ordergate.application.ports.archive import RECORD_TYPES, Archive, CopyCheckpoint, Record
from ordergate.application.ports.sessions import (
    NewSession,
    Rotation,
    RotationOutcome,
    TokenExchange,
)
from ordergate.application.ports.storage import BulkLoader, Storage
from ordergate.domain.session import Session, SessionId
from ordergate.domain.user import PasswordHash, User, UserId
from tests.support.builders import AT, HASH, SEALED, a_session, digest

GRACE = timedelta(seconds=10)
MARK = CopyCheckpoint("f" * 64, "accounts", "a place")


def get_loader(storage: Storage) -> BulkLoader:
    assert storage.loader is not None, "this storage has no bulk loader: override `fill`"
    return storage.loader


def get_archive(storage: Storage) -> Archive:
    assert storage.archive is not None, "this storage has no archive"
    return storage.archive


async def read_all(storage: Storage, name: str, limit: int = 1000) -> list[Record]:
    """Read a kind page by page."""
    records: list[Record] = []
    place = ""
    while True:
        page, place = await get_archive(storage).read(RECORD_TYPES[name], after=place, limit=limit)
        assert len(page) <= limit
        assert len(place) <= 1024
        if not page:
            return records
        records.extend(page)


def have_same_items(some: Sequence[object], others: Sequence[object]) -> bool:
    """Compare what is in no order, and in none twice."""
    return len(some) == len(others) and all(each in others for each in some)


async def try_start_session(
    storage: Storage,
    session: Session,
    token: int,
    *,
    password_hash: PasswordHash = HASH,
    limit: int = 100,
) -> list[SessionId] | None:
    """Start a session; return the sessions that it ended.

    Returns `None` if the password had changed.
    """
    ended = await storage.sessions.start(
        NewSession(
            session,
            digest(token),
            token_expires_at=AT + timedelta(days=10),
            password_hash=password_hash,
        ),
        limit=limit,
    )
    return None if ended is None else sorted(ended)


async def start_session(storage: Storage, session: Session, token: int) -> None:
    assert await try_start_session(storage, session, token) is not None


async def start_numbered_session(storage: Storage, number: int, user: User) -> bool:
    """Start the session of this number with the token of this number."""
    session, password_hash = a_session(number, user.id), user.password_hash
    return await try_start_session(storage, session, number, password_hash=password_hash) == []


async def rotate_token(
    storage: Storage, old: int, new: int, *, at: datetime = AT, sealed: bytes = SEALED
) -> Rotation:
    return await storage.sessions.rotate(
        TokenExchange(
            digest(old),
            digest(new),
            sealed=sealed,
            at=at,
            expires_at=at + timedelta(days=10),
            grace=GRACE,
        )
    )


async def rotation_outcome(storage: Storage, old: int, new: int, at: datetime) -> RotationOutcome:
    return (await rotate_token(storage, old, new, at=at)).outcome


async def active(storage: Storage, user: int = 1, at: datetime = AT) -> list[str]:
    return [s.id[-1] for s in await storage.sessions.list_active(UserId(user), at=at, limit=100)]
