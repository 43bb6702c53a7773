"""Whatever keeps users, sessions and orders."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from application.refresh_token import TokenDigest
from domain.order import Order, OrderId
from domain.session import Ending, Session, SessionId
from domain.user import PasswordHash, User, UserId, Username


class UserRepository(Protocol):
    """Accounts. Raises `StorageUnavailable` from any method."""

    @abstractmethod
    async def find(self, username: Username) -> User | None:
        """Return the account of that name, if there is one."""

    @abstractmethod
    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        """Open an account under a new id. Raises `UsernameTaken`."""

    @abstractmethod
    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        """Store a new hash if the stored one still is `old`, in one step; say whether it was."""

    @abstractmethod
    async def get(self, user_id: UserId) -> User | None:
        """Return the account with that id, if it is open."""

    @abstractmethod
    async def change_password(
        self,
        user_id: UserId,
        *,
        old: PasswordHash,
        new: PasswordHash,
        keep: SessionId | None,
        at: datetime,
    ) -> Sequence[SessionId] | None:
        """Do as `replace_password_hash`, and in the same step end the user's sessions but `keep`.

        Returns the sessions it ended, or `None` when the hash was another and nothing was done.
        """

    @abstractmethod
    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        """Close the account if its hash still is this: end its sessions, erase its name and hash.

        Its orders stay and name nobody; the id is never given again, the name may be. Returns the
        sessions it ended, or `None` when the hash was another and nothing was done. Raises
        `OrdersOpen`, and does nothing, while an order is neither delivered nor cancelled.
        """

    @abstractmethod
    async def of_subject(self, issuer: str, subject: str) -> UserId:
        """Return the account of somebody whom another issuer knows, opened on first sight.

        Both are text of 1 to 255 characters, compared exactly (RFC 7519, section 4.1.2); of many
        who ask at once all get the same account. It has no user name and no password, so nobody
        signs in to it here.
        """


class Verdict(StrEnum):
    """What became of a refresh token that was presented."""

    ROTATED = "rotated"
    REPEATED = "repeated"
    REUSED = "reused"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Rotation:
    """A verdict; with `ROTATED` and `REPEATED`, the sealed successor that is stored."""

    verdict: Verdict
    sealed: bytes | None = field(default=None, repr=False)


class SessionRepository(Protocol):
    """Sessions and their refresh tokens. Raises `StorageUnavailable` from any method.

    A session is live until it is ended or `expires_at` comes. What has ended stays as evidence.
    """

    @abstractmethod
    async def start(
        self,
        session: Session,
        token: TokenDigest,
        *,
        token_expires_at: datetime,
        password_hash: PasswordHash,
    ) -> bool:
        """Store a session and its first token if the user's hash still is this; say whether.

        One step, so that nobody signs in with a password that is being changed.
        """

    @abstractmethod
    async def of_token(self, token: TokenDigest) -> Session | None:
        """Return the session of a refresh token, live or not, used or not."""

    @abstractmethod
    async def is_used(self, token: TokenDigest) -> bool:
        """Say whether a token was rotated, so that `rotate` can do nothing new with it."""

    @abstractmethod
    async def rotate(
        self,
        old: TokenDigest,
        new: TokenDigest,
        *,
        sealed: bytes,
        at: datetime,
        expires_at: datetime,
        grace: timedelta,
    ) -> Rotation:
        """Put a new token in the place of an old one; of many who try at once, one does.

        `ROTATED`: the old token was unused, unexpired and of a live session. It is marked used at
        `at`, keeps `sealed`, and the new one lives until `expires_at`. `REPEATED`: it was used
        less than `grace` ago; nothing changed. `REUSED`: it was used longer ago; its session has
        been ended, for good. `DEAD`: anything else; nothing changed.
        """

    @abstractmethod
    async def live(self, user: UserId, *, at: datetime, limit: int) -> Sequence[Session]:
        """Return the user's live sessions that can be renewed, the latest used first.

        No more than `limit`; one whose refresh token has expired is left out.
        """

    @abstractmethod
    async def is_live(self, session: SessionId, *, user: UserId, at: datetime) -> bool:
        """Say whether that session of that user is live."""

    @abstractmethod
    async def is_familiar(self, user: UserId, address: str) -> bool:
        """Say whether the user has ever signed in at that address, an IPv6 /64 being one."""

    @abstractmethod
    async def sealed_successor(self, token: TokenDigest) -> bytes | None:
        """Return what is sealed beside a token that was used, while it is kept."""

    @abstractmethod
    async def end(self, session: SessionId, *, user: UserId, why: Ending, at: datetime) -> bool:
        """End a live session of that user; say whether there was one."""

    @abstractmethod
    async def end_all(self, user: UserId, *, why: Ending, at: datetime) -> Sequence[SessionId]:
        """End every live session of the user, and return which."""

    @abstractmethod
    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        """Return all sessions that were ended at that time or later, and when."""


class OrderRepository(Protocol):
    """Orders, each reached through its owner only. Raises `StorageUnavailable` from any method."""

    @abstractmethod
    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        """Return the order if it exists and is the owner's; the query itself carries the owner."""


class BulkLoader(Protocol):
    """Many users and orders at once, with the ids they bring."""

    @abstractmethod
    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        """Store all in one transaction, reading both once and in turn; users come first.

        An order is named by its owner and its id together. Nothing is stored when anything fails,
        be it in the iterables. Raises `StorageNotEmpty` when any user or order is there already,
        ValueError for a user's name or id or an order given twice and for an order without its
        owner, and `StorageUnavailable`.
        """


class Storage(Protocol):
    """Whatever keeps users, sessions and orders: its repositories, and its life."""

    users: UserRepository
    sessions: SessionRepository
    orders: OrderRepository
    loader: BulkLoader

    @abstractmethod
    def migrate(self) -> None:
        """Bring the schema to this program's version; safe to run twice or at once by several.

        It is not asynchronous: commands run it before anything is served.
        Raises `StorageUnavailable`, and `SchemaNotCurrent` for a schema newer than this program.
        """

    @abstractmethod
    async def open(self) -> None:
        """Get ready to serve. Raises `SchemaNotCurrent` or `StorageUnavailable`."""

    @abstractmethod
    async def close(self) -> None:
        """Let everything go; may be called twice, and without `open`."""

    @abstractmethod
    async def ping(self) -> None:
        """Ask the storage for a sign of life. Raises `StorageUnavailable`."""
