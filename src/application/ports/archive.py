"""Everything a storage keeps, record by record, to be moved to another storage."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from ordergate.application.ports.orders import IdempotencyKey
from ordergate.domain.order import Order, OrderId
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionId
from ordergate.domain.user import PasswordHash, UserId, Username


class AccountKind(StrEnum):
    """What an account is: one to sign in to, a closed one, or that of an issuer's subject."""

    OPEN = "open"
    CLOSED = "closed"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account; only an open one has a name and a hash."""

    id: UserId
    kind: AccountKind
    username: Username | None = None
    password_hash: PasswordHash | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SubjectRecord:
    """Maps the subject of an external issuer to a local account."""

    issuer: str
    subject: str
    user: UserId


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session and, if it ended, when and why.

    `ending` is a value of `SessionEndReason`, or known to another version of this program alone.
    """

    session: Session
    ended_at: datetime | None = None
    ending: str | None = None


@dataclass(frozen=True, slots=True)
class RefreshTokenRecord:
    """A refresh token, used or not."""

    digest: TokenDigest
    session: SessionId
    expires_at: datetime
    used_at: datetime | None = None
    sealed: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An idempotency key of an owner's, and the order it stands for."""

    owner: UserId
    key: IdempotencyKey
    order_id: OrderId


Record = AccountRecord | SubjectRecord | SessionRecord | RefreshTokenRecord | Order | KeyRecord

RECORD_TYPES: Mapping[str, type[Record]] = {
    "accounts": AccountRecord,
    "subjects": SubjectRecord,
    "sessions": SessionRecord,
    "refresh tokens": RefreshTokenRecord,
    "orders": Order,
    "idempotency keys": KeyRecord,
}
"""Every kind of record by its name, each after those that it refers to."""

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class CopyCheckpoint:
    """How far a copy has come: all up to the place `after` of `kind`, and all kinds before it.

    `source` tells from which storage, in up to 64 characters; `kind` is a name of `RECORD_TYPES`.
    """

    source: str
    kind: str
    after: str


class Archive(Protocol):
    """All records of a storage. Raises `StorageUnavailable` from any method."""

    @abstractmethod
    async def count(self, kind: type[Record]) -> int:
        """Return the number of records of a kind."""

    @abstractmethod
    async def read(self, kind: type[R], *, after: str = "", limit: int) -> tuple[Sequence[R], str]:
        """Return up to `limit` records behind a place, and the place behind the last of them.

        `""` is before all of them; a place is text of up to 1,024 characters, and means something
        to this storage alone, which chooses the order. No records: there are no more. Raises
        `RecordUnreadable`.
        """

    @abstractmethod
    async def checkpoint(self) -> CopyCheckpoint | None:
        """Return how far a copy into this storage has come that is not finished."""

    @abstractmethod
    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        """Store records of one kind and the checkpoint, in one step.

        Ids of accounts that are opened later differ from all that were written. Nothing is stored
        when anything fails. Raises `StorageNotEmpty` when there is anything but no checkpoint, and
        ValueError when a record is there already or what it refers to is not. No rule of the domain
        is applied; raises `RecordRefused` for a record that this storage cannot hold.
        """

    @abstractmethod
    async def finish(self) -> None:
        """Forget the checkpoint: the storage may be used."""
