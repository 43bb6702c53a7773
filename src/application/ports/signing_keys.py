"""The administration of the keys that sign access tokens."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ordergate.domain.signing_keys import KeyAlgorithm, KeyRecord, KeyRing, NewKey


class SigningKeys(Protocol):
    """The signing keys of this service, which several processes may change.

    Nothing here returns key material. Every method raises `SigningKeyError` where the keys cannot
    be read or changed.
    """

    @abstractmethod
    def list_keys(self) -> Sequence[KeyRecord]:
        """Return all keys, oldest first."""

    @abstractmethod
    def make(self, algorithm: KeyAlgorithm) -> NewKey:
        """Make a key pair. It is stored with the change that adds it."""

    @abstractmethod
    def import_from(self, file: Path) -> NewKey:
        """Read the private key of a PEM file. It is stored with the change that adds it."""

    @abstractmethod
    def change(
        self,
        step: Callable[[KeyRing], KeyRing],
        record: Callable[[Sequence[KeyRecord]], None],
    ) -> Sequence[KeyRecord]:
        """Replace the keys by what `step` returns of them, and return the keys that have changed.

        Changes of all processes follow each other: `step` gets what the last one stored. `record`
        is called with the changed keys once they are stored and before the next change begins.
        Where `step` raises, or returns an equal ring, nothing is stored and nothing recorded.
        """
