"""Remove a signing key."""

from collections.abc import Sequence
from dataclasses import dataclass

from ordergate.application.keys.key_changes import ChangedKey, KeyChanges
from ordergate.domain.signing_keys import KeyId


@dataclass(frozen=True, slots=True)
class RetireSigningKey:
    """Remove a published key, or one whose tokens have all expired.

    `early` also ends tokens that have not expired.

    Raises:
        KeyChangeTooEarly: tokens of the key are still valid.
        UnknownKey: there is no such key.
        InvalidKeyChange: the key signs.
        SigningKeyError: the keys are unusable.
    """

    changes: KeyChanges

    def __call__(self, key: KeyId, *, early: bool = False) -> Sequence[ChangedKey]:
        schedule = self.changes.schedule
        return self.changes.apply(lambda ring, now: ring.retire(key, now, schedule, early=early))
