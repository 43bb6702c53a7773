"""Audit events as log lines."""

import logging

from ordergate.application.ports.audit import Audit, AuditEvent, AuditRecord
from ordergate.domain.signing_keys import KeyRecord

_log = logging.getLogger("ordergate.audit")


class LogAudit(Audit):
    """Writes one line for each event, at INFO, to the logger `ordergate.audit`."""

    def write(self, record: AuditRecord) -> None:
        """Log the event with its known details."""
        origin = record.origin
        about = {
            "user_id": record.user,
            "session_id": record.session,
            "address": origin and origin.address,
            "request_id": origin and origin.request_id,
            "detail": record.detail or None,
        }
        _log.info(record.event.value, extra={k: v for k, v in about.items() if v is not None})

    def record_key(self, key: KeyRecord) -> None:
        """Log the key's id and status."""
        _log.info(AuditEvent.KEY_ROTATED.value, extra={"kid": key.id, "status": key.status.value})
