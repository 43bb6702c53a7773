"""Rotate the signing keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ordergate.application.keys.key_changes import ChangedKey, KeyChanges


@dataclass(frozen=True, slots=True)
class Rotation:
    """The changed keys, and the time of the next change."""

    changed: Sequence[ChangedKey]
    next_due: datetime | None


@dataclass(frozen=True, slots=True)
class RotateSigningKeys:
    """Apply every due change. `early` lets a new key sign immediately.

    No token becomes invalid. Raises `InvalidKeyChange` when there are too many keys, and
    `SigningKeyError`.
    """

    changes: KeyChanges

    def __call__(self, *, early: bool = False) -> Rotation:
        keys, schedule = self.changes.keys, self.changes.schedule
        changed = self.changes.apply(
            lambda ring, now: ring.rotate(now, schedule, keys.make_key, early=early)
        )
        dues = (schedule.due(key) for key in keys.list_keys())
        return Rotation(changed, min((due for due in dues if due), default=None))
