"""The record of what happened to whose identity."""

from abc import abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ordergate.domain.session import SessionId
from ordergate.domain.signing_keys import KeyRecord
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from: the client's `address`, and the id that the log knows it by."""

    address: str
    request_id: str


class AuditEvent(StrEnum):
    """What happened to somebody's identity."""

    SIGNED_IN = "signed_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    SIGN_IN_THROTTLED = "sign_in_throttled"
    SIGN_UP_THROTTLED = "sign_up_throttled"
    REFRESHED = "refreshed"
    REFRESH_REFUSED = "refresh_refused"
    REUSE_SEEN = "reuse_seen"
    SESSION_ENDED = "session_ended"
    PASSWORD_CHANGED = "password_changed"
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

    @abstractmethod
    def record_key(self, key: KeyRecord) -> None:
        """Write one line about a signing key that has changed: its id and its status now."""
