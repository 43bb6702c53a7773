"""Publish a new signing key."""

from collections.abc import Sequence
from dataclasses import dataclass

from ordergate.application.keys.key_changes import ChangedKey, KeyChanges
from ordergate.domain.signing_keys import KeyAlgorithm


@dataclass(frozen=True, slots=True)
class PublishSigningKey:
    """Generate a key and publish it. The first key signs immediately.

    Raises `InvalidKeyChange` when there are too many keys, and `SigningKeyError`.
    """

    changes: KeyChanges

    def __call__(self, algorithm: KeyAlgorithm) -> Sequence[ChangedKey]:
        key = self.changes.keys.make_key(algorithm)
        return self.changes.apply(lambda ring, now: ring.publish(key, now))
