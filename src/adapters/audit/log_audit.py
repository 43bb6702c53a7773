"""The audit as lines of the log."""

import logging

from ordergate.application.ports.audit import Audit, AuditEvent, Origin
from ordergate.domain.session import SessionId
from ordergate.domain.signing_keys import KeyRecord
from ordergate.domain.user import UserId

_log = logging.getLogger("ordergate.audit")


class LogAudit(Audit):
    """One line an event, at INFO, under the logger `ordergate.audit`."""

    def record(
        self,
        event: AuditEvent,
        *,
        origin: Origin | None = None,
        user: UserId | None = None,
        session: SessionId | None = None,
        detail: str = "",
    ) -> None:
        """Log the event's name with what is known about it."""
        about = {
            "user_id": user,
            "session_id": session,
            "address": origin and origin.address,
            "request_id": origin and origin.request_id,
            "detail": detail or None,
        }
        _log.info(event.value, extra={k: v for k, v in about.items() if v is not None})

    def record_key(self, key: KeyRecord) -> None:
        """Log the key's id and status."""
        _log.info(AuditEvent.KEY_ROTATED.value, extra={"kid": key.id, "status": key.status.value})
