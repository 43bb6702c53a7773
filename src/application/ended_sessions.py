"""Record that sessions ended."""

from collections.abc import Iterable

from ordergate.application.ports.audit import Audit, AuditEvent, Origin
from ordergate.domain.session import SessionEndReason, SessionId
from ordergate.domain.user import UserId


def record_ended(
    audit: Audit,
    sessions: Iterable[SessionId],
    reason: SessionEndReason,
    *,
    user: UserId,
    origin: Origin,
) -> None:
    """Record each of these sessions of the user as ended."""
    for session in sessions:
        audit.record(
            AuditEvent.SESSION_ENDED,
            origin=origin,
            user=user,
            session=session,
            detail=reason.value,
        )
