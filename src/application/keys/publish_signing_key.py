"""Publish a new signing key."""

from collections.abc import Sequence
from dataclasses import dataclass

from ordergate.application.keys.key_changes import ChangedKey, KeyChanges
from ordergate.domain.signing_keys import KeyAlgorithm


@dataclass(frozen=True, slots=True)
class PublishSigningKey:
    """Generate a key and publish it. The first key signs immediately.

    The default algorithm is that of the signing key, and ES256 for the first key. Raises
    `InvalidKeyChange` when there are too many keys, and `SigningKeyError`.
    """

    changes: KeyChanges

    def __call__(self, algorithm: KeyAlgorithm | None = None) -> Sequence[ChangedKey]:
        make = self.changes.keys.make_key
        return self.changes.apply(
            lambda ring, now: ring.publish(make(algorithm or ring.choose_algorithm()), now)
        )
