"""Sessions and their refresh tokens."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, UserId


class RotationOutcome(StrEnum):
    """What became of a refresh token that was presented."""

    ROTATED = "rotated"
    REPLAYED = "replayed"
    REUSED = "reused"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did; with `ROTATED` and `REPLAYED`, the sealed successor that is stored."""

    outcome: RotationOutcome
    sealed: bytes | None = field(default=None, repr=False)


class Forgotten(NamedTuple):
    """How many sessions and refresh tokens one step removed."""

    sessions: int
    tokens: int


class SessionRepository(Protocol):
    """Sessions and their refresh tokens. Raises `StorageUnavailable` from any method.

    A session is active until it is ended or `expires_at` comes. What has ended stays as evidence
    until it is forgotten.
    """

    @abstractmethod
    async def start(
        self,
        session: Session,
        token: TokenDigest,
        *,
        token_expires_at: datetime,
        password_hash: PasswordHash,
        limit: int,
    ) -> Sequence[SessionId] | None:
        """Store a session and its first token, or return None if the user's hash is not this.

        One step, so that nobody signs in with a password that is being changed. Where the user
        would have more than `limit` active sessions at its `started_at`, those that expire first
        end as `SessionEndReason.TOO_MANY`; they are returned. Calls at the same time may leave a
        few more.
        """

    @abstractmethod
    async def get_by_refresh_token(self, token: TokenDigest) -> Session | None:
        """Return the session of a refresh token, active or not, used or not."""

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
        """Put a new token in the place of an old one; of many parallel attempts, one does.

        `ROTATED`: the old token was unused, unexpired and of an active session. It is marked used
        at `at`, keeps `sealed`, and the new one lives until `expires_at`. `REPLAYED`: it was used
        less than `grace` ago; nothing changed. `REUSED`: it was used longer ago; its session has
        been ended, for good. `INVALID`: anything else; nothing changed.
        """

    @abstractmethod
    async def list_active(self, user: UserId, *, at: datetime, limit: int) -> Sequence[Session]:
        """Return the user's active sessions that can be renewed, the latest used first.

        No more than `limit`; one whose refresh token has expired is left out.
        """

    @abstractmethod
    async def is_active(self, session: SessionId, *, user: UserId, at: datetime) -> bool:
        """Say whether that session of that user is active."""

    @abstractmethod
    async def has_signed_in_from(self, user: UserId, address: str) -> bool:
        """Say whether the user has ever signed in at that address, an IPv6 /64 being one."""

    @abstractmethod
    async def sealed_successor(self, token: TokenDigest) -> bytes | None:
        """Return what is sealed beside a token that was used, while it is kept."""

    @abstractmethod
    async def end(
        self, session: SessionId, *, user: UserId, reason: SessionEndReason, at: datetime
    ) -> bool:
        """End an active session of that user; say whether there was one."""

    @abstractmethod
    async def end_all(
        self, user: UserId, *, reason: SessionEndReason, at: datetime
    ) -> Sequence[SessionId]:
        """End every active session of the user, and return which."""

    @abstractmethod
    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        """Return all sessions that were ended at that time or later, and when."""

    @abstractmethod
    async def purge_ended(self, *, over_by: datetime, limit: int) -> Forgotten:
        """Remove up to `limit` tokens and sessions of those that ended or expired by then.

        A session goes after the last of its tokens. Both counts are 0 when nothing was left to
        remove. The tokens are as unknown as any other text, and the addresses of the sessions are
        no longer familiar.
        """
