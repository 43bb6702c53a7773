"""Audit events as log lines."""

import logging

from ordergate.application.ports.audit import Audit, AuditEvent, Origin
from ordergate.domain.session import SessionId
from ordergate.domain.signing_keys import KeyRecord
from ordergate.domain.user import UserId

_log = logging.getLogger("ordergate.audit")


class LogAudit(Audit):
    """Writes one line for each event, at INFO, to the logger `ordergate.audit`."""

    def record(
        self,
        event: AuditEvent,
        *,
        origin: Origin | None = None,
        user: UserId | None = None,
        session: SessionId | None = None,
        detail: str = "",
    ) -> None:
        """Log the event with its known details."""
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
