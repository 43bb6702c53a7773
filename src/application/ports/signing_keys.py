"""The administration of the keys that sign access tokens."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ordergate.domain.signing_keys import KeyAlgorithm, KeyRecord, KeyRing, NewKey


class SigningKeys(Protocol):
    """The signing keys of this service, which several processes may change.

    Nothing here returns key material. Every method raises `SigningKeyError` when the keys cannot be
    read or changed.
    """

    @abstractmethod
    def list_keys(self) -> Sequence[KeyRecord]:
        """Return all keys, oldest first."""

    @abstractmethod
    def make_key(self, algorithm: KeyAlgorithm) -> NewKey:
        """Generate a key pair. The change that adds it also stores it."""

    @abstractmethod
    def import_key(self, file: Path) -> NewKey:
        """Read the private key of a PEM file.

        The change that adds the key also stores it.
        """

    @abstractmethod
    def change(
        self,
        step: Callable[[KeyRing], KeyRing],
        record: Callable[[Sequence[KeyRecord]], None],
    ) -> Sequence[KeyRecord]:
        """Replace the keys by those that `step` returns; return the changed keys.

        Changes of all processes run one after the other: `step` gets the keys of the previous
        change. `record` is called with the changed keys after they are stored and before the next
        change. If `step` raises, or returns an equal ring, nothing is stored or recorded.
        """
