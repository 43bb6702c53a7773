"""Publish a signing key from a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ordergate.application.keys.key_changes import ChangedKey, KeyChanges


@dataclass(frozen=True, slots=True)
class ImportSigningKey:
    """Publish the key of a PEM file. The first key signs immediately.

    Raises:
        KeyAlreadyPresent: the key ring has this key.
        InvalidKeyChange: there are too many keys.
        SigningKeyError: the keys are unusable, or the file has no key that may sign.
    """

    changes: KeyChanges

    def __call__(self, file: Path) -> Sequence[ChangedKey]:
        key = self.changes.keys.import_key(file)
        return self.changes.apply(lambda ring, now: ring.publish(key, now))
