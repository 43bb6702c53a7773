"""List the signing keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from ordergate.application.ports.signing_keys import SigningKeys
from ordergate.domain.signing_keys import KeyRecord


@dataclass(frozen=True, slots=True)
class ListSigningKeys:
    """Return every signing key, oldest first. Raises `SigningKeyError`."""

    keys: SigningKeys

    def __call__(self) -> Sequence[KeyRecord]:
        return self.keys.list_keys()
