"""An audit that counts its events."""

from dataclasses import dataclass

from ordergate.adapters.metrics.instruments import Instruments
from ordergate.application.ports.audit import Audit, AuditEvent, AuditRecord
from ordergate.domain.signing_keys import KeyRecord


@dataclass(frozen=True, slots=True)
class MeasuredAudit(Audit):
    """Counts each event that another audit records."""

    audit: Audit
    instruments: Instruments

    def write(self, record: AuditRecord) -> None:
        """Count and record an event."""
        self.instruments.count_event(record.event)
        self.audit.write(record)

    def record_key(self, key: KeyRecord) -> None:
        """Count and record a change of a signing key."""
        self.instruments.count_event(AuditEvent.KEY_ROTATED)
        self.audit.record_key(key)
