"""Promote a published key to sign."""

from collections.abc import Sequence
from dataclasses import dataclass

from ordergate.application.keys.key_changes import ChangedKey, KeyChanges
from ordergate.domain.signing_keys import KeyId


@dataclass(frozen=True, slots=True)
class PromoteSigningKey:
    """Let a published key sign; the previous one only verifies afterwards.

    `early` does not wait until every verifier knows the key.

    Raises:
        KeyChangeTooEarly: some verifiers may not know the key yet.
        UnknownKey: there is no such key.
        InvalidKeyChange: the key is not published.
        SigningKeyError: the keys are unusable.
    """

    changes: KeyChanges

    def __call__(self, key: KeyId, *, early: bool = False) -> Sequence[ChangedKey]:
        schedule = self.changes.schedule
        return self.changes.apply(lambda ring, now: ring.promote(key, now, schedule, early=early))
