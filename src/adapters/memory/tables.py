"""The stored data: one dictionary for each kind."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ordergate.application.ports.archive import CopyCheckpoint
from ordergate.domain.order import Order, OrderId
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import User, UserId


@dataclass(slots=True)
class StoredToken:
    """A refresh token, its expiry, and after its use its successor."""

    session: SessionId
    expires_at: datetime
    used_at: datetime | None = None
    sealed: bytes | None = None


@dataclass(slots=True)
class Tables:
    """The dictionaries of one storage."""

    users: dict[UserId, User] = field(default_factory=dict)
    closed: set[UserId] = field(default_factory=set)
    external: set[UserId] = field(default_factory=set)
    sessions: dict[SessionId, Session] = field(default_factory=dict)
    endings: dict[SessionId, tuple[datetime, str | None]] = field(default_factory=dict)
    tokens: dict[TokenDigest, StoredToken] = field(default_factory=dict)
    orders: dict[tuple[UserId, OrderId], Order] = field(default_factory=dict)
    subjects: dict[tuple[str, str], UserId] = field(default_factory=dict)
    keys: dict[tuple[UserId, str], tuple[OrderId, datetime]] = field(default_factory=dict)
    checkpoint: CopyCheckpoint | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is no account, and therefore no other record."""
        return not (self.users or self.closed or self.external)

    def has_account(self, user: UserId) -> bool:
        """Report whether an account with this id exists, open or not."""
        return user in self.users or user in self.closed or user in self.external

    def has_open_orders(self, user: UserId) -> bool:
        """Say whether an order of that user is neither delivered nor cancelled."""
        return any(order.owner == user and order.is_open for order in self.orders.values())

    def is_active(self, session: Session, at: datetime) -> bool:
        """Report whether a session has neither ended nor expired."""
        return session.id not in self.endings and at < session.expires_at

    def end(
        self, sessions: Iterable[Session], reason: SessionEndReason, at: datetime
    ) -> list[SessionId]:
        """End the active sessions among these and return them."""
        ended = [session.id for session in sessions if self.is_active(session, at)]
        self.endings.update((session, (at, reason)) for session in ended)
        return ended

    def list_user_sessions(self, user: UserId) -> list[Session]:
        """Return every session of a user."""
        return [session for session in self.sessions.values() if session.user == user]
