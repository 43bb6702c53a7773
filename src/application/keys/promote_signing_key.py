"""Let a published key sign."""

from collections.abc import Sequence
from dataclasses import dataclass

from ordergate.application.keys.key_changes import ChangedKey, KeyChanges
from ordergate.domain.signing_keys import KeyId


@dataclass(frozen=True, slots=True)
class PromoteSigningKey:
    """Let a published key sign; the key that signed only verifies from then on.

    `early` does not wait until every verifier knows the key. Raises `KeyChangeTooEarly`,
    `UnknownKey`, `InvalidKeyChange` for a key that is not published, and `SigningKeyError`.
    """

    changes: KeyChanges

    def __call__(self, key: KeyId, *, early: bool = False) -> Sequence[ChangedKey]:
        schedule = self.changes.schedule
        return self.changes.apply(lambda ring, now: ring.promote(key, now, schedule, early=early))
