"""Change the signing keys, and record each change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ordergate.application.ports.audit import Audit
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.signing_keys import SigningKeys
from ordergate.domain.signing_keys import KeyRecord, KeyRing, KeySchedule


@dataclass(frozen=True, slots=True)
class ChangedKey:
    """A changed key, and the time of its next change, if any."""

    key: KeyRecord
    due: datetime | None


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """Changes the signing keys and records each changed key."""

    keys: SigningKeys
    clock: Clock
    schedule: KeySchedule
    audit: Audit

    def apply(self, step: Callable[[KeyRing, datetime], KeyRing]) -> Sequence[ChangedKey]:
        """Apply a change now. Raises `SigningKeyError` and the errors of `step`."""
        changed = self.keys.change(lambda ring: step(ring, self.clock.now()), self._record)
        return [ChangedKey(key, self.schedule.due(key)) for key in changed]

    def _record(self, changed: Sequence[KeyRecord]) -> None:
        for key in changed:
            self.audit.record_key(key)
