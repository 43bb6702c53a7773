"""The audit of identities."""

from abc import abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ordergate.domain.session import SessionId
from ordergate.domain.signing_keys import KeyRecord
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a request: the client's `address` and the request id."""

    address: str
    request_id: str


class AuditEvent(StrEnum):
    """An event of an identity, or a change by staff."""

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
    PASSWORD_SET = "password_set"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_ENABLED = "account_enabled"
    ORDER_ADVANCED = "order_advanced"
    KEY_ROTATED = "key_rotated"


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An event with the request, account and session that it concerns."""

    event: AuditEvent
    origin: Origin | None = None
    user: UserId | None = None
    session: SessionId | None = None
    detail: str = ""


class Audit(Protocol):
    """Records the events of identities and the changes by staff.

    It never fails and contains no secret.
    """

    @abstractmethod
    def write(self, record: AuditRecord) -> None:
        """Write one record; `None` and empty values are omitted."""

    def record(
        self,
        event: AuditEvent,
        *,
        origin: Origin | None = None,
        user: UserId | None = None,
        session: SessionId | None = None,
        detail: str = "",
    ) -> None:
        """Write a record of an event."""
        self.write(AuditRecord(event, origin, user, session, detail))

    @abstractmethod
    def record_key(self, key: KeyRecord) -> None:
        """Record the id and the new status of a changed signing key."""
