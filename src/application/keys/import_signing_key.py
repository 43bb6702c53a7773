"""Publish a signing key that was made elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ordergate.application.keys.key_changes import ChangedKey, KeyChanges


@dataclass(frozen=True, slots=True)
class ImportSigningKey:
    """Publish the key of a PEM file; the first of all signs immediately.

    Raises `KeyAlreadyPresent`, `InvalidKeyChange` where there are too many keys, and
    `SigningKeyError`, also for a file that holds no key that may sign.
    """

    changes: KeyChanges

    def __call__(self, file: Path) -> Sequence[ChangedKey]:
        key = self.changes.keys.import_from(file)
        return self.changes.apply(lambda ring, now: ring.publish(key, now))
