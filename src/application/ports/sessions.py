"""Sessions and their refresh tokens."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, UserId


class RotationOutcome(StrEnum):
    """The outcome of presenting a refresh token."""

    ROTATED = "rotated"
    REPLAYED = "replayed"
    REUSED = "reused"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Rotation:
    """The outcome of a rotation, and the stored sealed successor.

    Only `ROTATED` and `REPLAYED` have a successor.
    """

    outcome: RotationOutcome
    sealed: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session with its first refresh token.

    `password_hash` is the hash that the user's password was verified against.
    """

    session: Session
    token: TokenDigest
    token_expires_at: datetime
    password_hash: PasswordHash = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenExchange:
    """A new refresh token in place of an old one, at `at`.

    The new token expires at `expires_at`. `sealed` is stored with the old token, which may be
    presented again for `grace` after its first use.
    """

    old: TokenDigest
    new: TokenDigest
    sealed: bytes = field(repr=False)
    at: datetime
    expires_at: datetime
    grace: timedelta


class Forgotten(NamedTuple):
    """The numbers of sessions and refresh tokens that one step removed."""

    sessions: int
    tokens: int


class SessionRepository(Protocol):
    """Sessions and their refresh tokens.

    Every method may raise `StorageUnavailable`. A session is active until it ends or `expires_at`
    comes. Ended sessions stay as evidence until they are purged.
    """

    @abstractmethod
    async def start(self, new: NewSession, *, limit: int) -> Sequence[SessionId] | None:
        """Store a session and its first token, in one transaction.

        Returns `None` if the user's hash differs from `password_hash`, so a sign-in with a password
        that is being changed fails. If the user would have more than `limit` active sessions, those
        that expire first end as `SessionEndReason.TOO_MANY` and are returned. Parallel calls may
        leave a few more.
        """

    @abstractmethod
    async def get_by_refresh_token(self, token: TokenDigest) -> Session | None:
        """Return the session of a refresh token, whatever their states."""

    @abstractmethod
    async def is_used(self, token: TokenDigest) -> bool:
        """Report whether a token was rotated before."""

    @abstractmethod
    async def rotate(self, exchange: TokenExchange) -> Rotation:
        """Replace an old token by a new one.

        Of parallel attempts, one succeeds.

        `ROTATED`: the old token was unused, unexpired and of an active session. It is marked used
        at `at` and keeps `sealed`; the new token expires at `expires_at`. `REPLAYED`: it was used
        less than `grace` ago; nothing changed. `REUSED`: it was used longer ago; its session is
        ended permanently. `INVALID`: any other case; nothing changed.
        """

    @abstractmethod
    async def list_active(self, user: UserId, *, at: datetime, limit: int) -> Sequence[Session]:
        """Return the user's renewable active sessions, most recently used first.

        There are at most `limit`. A session with an expired refresh token is omitted.
        """

    @abstractmethod
    async def is_active(self, session: SessionId, *, user: UserId, at: datetime) -> bool:
        """Report whether this session of this user is active."""

    @abstractmethod
    async def has_signed_in_from(self, user: UserId, address: str) -> bool:
        """Report whether the user has signed in from an address's network."""

    @abstractmethod
    async def sealed_successor(self, token: TokenDigest) -> bytes | None:
        """Return the sealed successor of a used token, while it is stored."""

    @abstractmethod
    async def end(
        self, session: SessionId, *, user: UserId, reason: SessionEndReason, at: datetime
    ) -> bool:
        """End an active session of the user; return whether there was one."""

    @abstractmethod
    async def end_all(
        self, user: UserId, *, reason: SessionEndReason, at: datetime
    ) -> Sequence[SessionId]:
        """End all active sessions of the user and return their ids."""

    @abstractmethod
    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        """Return when sessions ended, for those at this time or later."""

    @abstractmethod
    async def purge_ended(self, *, over_by: datetime, limit: int) -> Forgotten:
        """Remove up to `limit` ended or expired tokens and sessions.

        A session is removed after its tokens. Both counts are 0 when nothing is left. Removed
        tokens are unknown, and the addresses of removed sessions are no longer familiar.
        """


@runtime_checkable
class SessionCacheInspector(Protocol):
    """A cache of ended sessions that states its age to operators."""

    @abstractmethod
    def get_age(self) -> float | None:
        """Return the seconds since the last refresh.

        It is called once a second, and does no work. `None` is a cache that was never filled.
        """
