"""Audit events that several use cases record."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ordergate.application.errors import Throttled
from ordergate.application.ports.audit import Audit, AuditEvent, Origin
from ordergate.domain.session import SessionEndReason, SessionId
from ordergate.domain.user import UserId


def record_ended(
    audit: Audit,
    sessions: Iterable[SessionId],
    reason: SessionEndReason,
    *,
    user: UserId,
    origin: Origin | None = None,
) -> None:
    """Record the end of each of these sessions."""
    for session in sessions:
        audit.record(
            AuditEvent.SESSION_ENDED,
            origin=origin,
            user=user,
            session=session,
            detail=reason.value,
        )


@contextmanager
def record_throttled(
    audit: Audit, event: AuditEvent, *, origin: Origin, user: UserId | None = None
) -> Iterator[None]:
    """Record the event when the work raises `Throttled`."""
    try:
        yield
    except Throttled:
        audit.record(event, origin=origin, user=user)
        raise
