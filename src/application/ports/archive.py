"""Whole storages: records for a copy, and the file for a backup."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

from ordergate.application.ports.orders import IdempotencyKey
from ordergate.domain.order import Order, OrderId
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionId
from ordergate.domain.user import PasswordHash, UserId, Username


class AccountKind(StrEnum):
    """The kind of an account: open, closed, or of an external subject."""

    OPEN = "open"
    CLOSED = "closed"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account. Only open accounts have a name and a hash."""

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
    """A session and, if it has ended, the time and the reason.

    `ending` is a value of `SessionEndReason`, or of another version of this program.
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
    """An idempotency key of an owner, and its order."""

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
"""Every kind of record by its name. A kind follows the kinds that it refers to."""

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class CopyCheckpoint:
    """The progress of a copy: its last position in a kind.

    All kinds before `kind`, and its records up to `after`, are copied. `source` identifies the
    source storage in up to 64 characters. `kind` is a name in `RECORD_TYPES`.
    """

    source: str
    kind: str
    after: str


class Archive(Protocol):
    """All records of a storage. Every method may raise `StorageUnavailable`."""

    @abstractmethod
    async def count(self, kind: type[Record]) -> int:
        """Return the number of records of a kind."""

    @abstractmethod
    async def read(self, kind: type[R], *, after: str = "", limit: int) -> tuple[Sequence[R], str]:
        """Return up to `limit` records after a position, and the last position.

        The position `""` is before all records. A position is text of up to 1,024 characters that
        only this storage understands; it chooses the order. An empty result is the end. Raises
        `RecordUnreadable`.
        """

    @abstractmethod
    async def checkpoint(self) -> CopyCheckpoint | None:
        """Return the progress of an unfinished copy into this storage."""

    @abstractmethod
    async def write(self, records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
        """Store records of one kind and the checkpoint in one transaction.

        Later accounts get other ids than the stored ones. No rule of the domain is applied. A
        failure stores nothing.

        Raises:
            StorageNotEmpty: the storage has records and no checkpoint.
            RecordRefused: this storage cannot hold a record.
            ValueError: a record exists already, or refers to a missing one.
        """

    @abstractmethod
    async def finish(self) -> None:
        """Remove the checkpoint, so that the storage may be used."""

    async def list_left_behind(self) -> Sequence[str]:
        """Return the names of other data, such as tables."""
        return ()


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a file: accounts (with closed ones), orders, bytes.

    `is_current` says whether the schema is that of this program; otherwise it is older.
    """

    accounts: int
    orders: int
    size: int
    is_current: bool


class StorageFile(Protocol):
    """A file that is copied and restored while servers use it.

    It is for commands: every method blocks. Every method may raise `StorageUnavailable`.
    """

    @abstractmethod
    def check(self, *, seconds: float | None) -> bool:
        """Check the integrity for at most `seconds`; return whether the check completed.

        `None` sets no limit. A missing file counts as intact. Raises `StorageUnavailable` for
        damage; the message names the file and says what to do.
        """

    @abstractmethod
    def backup(self, file: Path) -> Contents:
        """Write all committed data into a new file, readable by its owner.

        The file gets its name after a complete check and after it is on the disk. Raises
        `BackupRefused` when the file exists or the storage is damaged.
        """

    @abstractmethod
    def restore(self, file: Path, *, replace: bool) -> Contents:
        """Replace all data by that of a backup, in one transaction.

        Account ids that were assigned since are not assigned again, unless damage hides them.
        Raises `BackupRefused` for a file that is not a sound backup of this or an older version,
        and for users or orders without `replace`; nothing is changed then.
        """
