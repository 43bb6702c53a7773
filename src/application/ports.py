"""Everything the use cases need from the world: each port is a contract, errors and units included.

`tests/contracts` holds one suite for each; every adapter and every double passes it.
"""

from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.order import Order, OrderId
from domain.scope import Scope
from domain.session import SessionId
from domain.user import Password, PasswordHash, User, UserId, Username


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: the user `id`, through the OAuth2 client `client_id` (not authenticated).

    The token is good for `scope`, and belongs to `session`, or to none of ours (`None`).
    """

    id: UserId
    client_id: str
    scope: frozenset[Scope] = frozenset()
    session: SessionId | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token (RFC 6750), accepted for the next `expires_in` seconds. It is in no `repr`."""

    value: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from: the client's `address`, and the id that the log knows it by."""

    address: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer to a guess: whether it `matches`, and the hash to store instead, if one is due."""

    matches: bool
    upgraded: PasswordHash | None = None


class Clock(Protocol):
    """The time."""

    @abstractmethod
    def now(self) -> datetime:
        """Tell the time, aware and in UTC."""


class TokenVerifier(Protocol):
    """Access tokens, read when they come back."""

    @abstractmethod
    async def verify(self, token: str) -> Caller:
        """Read a token. Raises `InvalidToken` for any text that is none, whatever it is.

        Computation alone where the keys are at hand; where they are not and cannot be had, raises
        `KeysUnavailable`.
        """


class TokenIssuer(TokenVerifier, Protocol):
    """Access tokens of our own: made for users who signed in."""

    @abstractmethod
    def issue(self, caller: Caller) -> AccessToken:
        """Make a token that `verify` turns back into an equal caller until it expires."""


class PasswordHasher(Protocol):
    """Slow, salted password hashes. Work past a bound raises `Overloaded` before it begins."""

    @abstractmethod
    async def hash(self, password: Password) -> PasswordHash:
        """Hash a password with a new salt at the configured cost."""

    @abstractmethod
    async def verify(self, password: Password, stored: PasswordHash | None) -> Verification:
        """Compare a guess with a stored hash.

        `None` stands for an account that does not exist: it never matches and costs the same work,
        as does a stored value that is no hash. A match against a hash that is weaker than new ones
        brings the upgraded hash along.
        """


@dataclass(slots=True)
class Attempt:
    """A guess at a password under way: `matched` stays `None` while nobody knows."""

    matched: bool | None = None


class Throttle(Protocol):
    """Slows guessing down, by account and by address, without asking whether an account exists."""

    @abstractmethod
    def attempt(
        self, username: str, address: str, *, familiar: bool
    ) -> AbstractAsyncContextManager[Attempt]:
        """Guard one guess: entering raises `Throttled` before any work is done.

        Leaving counts a guess that did not match, against the account and against the address; one
        that nobody judged counts nothing. Guesses under way are counted as if they would fail, so
        many at once get no further than one after another. Names that differ only in case are one.

        At an address that is `familiar`, because the user has signed in there before, only the
        failures of that account from that address count: nobody elsewhere, and no other account
        there, can lock the user out. A match forgets the failures of the account from that
        address.
        """


class AuditEvent(StrEnum):
    """What happened to somebody's identity."""

    SIGNED_IN = "signed_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    SIGN_IN_THROTTLED = "sign_in_throttled"
    REFRESHED = "refreshed"
    REUSE_SEEN = "reuse_seen"
    SESSION_ENDED = "session_ended"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - an event
    ACCOUNT_OPENED = "account_opened"
    ACCOUNT_CLOSED = "account_closed"
    KEY_ROTATED = "key_rotated"


class Audit(Protocol):
    """The record of who did what to whose identity. It never fails, and holds no secret."""

    @abstractmethod
    def record(
        self,
        event: AuditEvent,
        *,
        origin: Origin | None = None,
        user: UserId | None = None,
        session: SessionId | None = None,
        detail: str = "",
    ) -> None:
        """Write one line; what is `None` or empty is left out."""


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
    async def of_subject(self, issuer: str, subject: str) -> UserId:
        """Return the account of somebody whom another issuer knows, opened on first sight.

        Both are text of 1 to 255 characters, compared exactly (RFC 7519, section 4.1.2); of many
        who ask at once all get the same account. It has no user name and no password, so nobody
        signs in to it here.
        """


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
    """Whatever keeps users and orders: its repositories, and its life."""

    users: UserRepository
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
