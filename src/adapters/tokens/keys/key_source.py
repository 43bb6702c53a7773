"""Sources of the issuer's keys: a changing one, and a constant one."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.adapters.tokens.keys.signing_key import SigningKey
from ordergate.application.errors import SigningKeyError
from ordergate.application.ports.signing_keys import SigningKeys
from ordergate.application.ports.tokens import Jwks, PublicKeys
from ordergate.domain.signing_keys import (
    KeyAlgorithm,
    KeyId,
    KeyRecord,
    KeyRing,
    KeyStatus,
    NewKey,
)


class KeySource(PublicKeys, Protocol):
    """The key that signs, and all keys whose signatures are accepted."""

    @abstractmethod
    def signing(self) -> SigningKey:
        """Return the key that currently signs."""

    @abstractmethod
    def verifying(self, *, newest: bool = False) -> KeySet:
        """Return the keys that verify; the same object while they are unchanged.

        They may be as old as the source allows. `newest` checks for changes first.
        """


class StaticKeys(KeySource, SigningKeys):
    """One key or secret for the life of the process.

    `holder` names the place of the key, such as a setting. No key can be added, promoted or
    retired.
    """

    def __init__(self, key: SigningKey, *, holder: str = "a setting") -> None:
        self._key = key
        self._verifying = KeySet.from_keys([key.verifying()])
        self._holder = holder

    def signing(self) -> SigningKey:
        """Return the key."""
        return self._key

    def verifying(self, *, newest: bool = False) -> KeySet:
        """Return the key as a set."""
        del newest  # there is no newer one
        return self._verifying

    def jwks(self) -> Jwks:
        """Publish the key; the set of a secret is empty."""
        return to_jwks([self._key])

    def list_keys(self) -> Sequence[KeyRecord]:
        """Return the key."""
        return [KeyRecord(KeyId(self._key.kid), self._key.algorithm, KeyStatus.SIGNING, None)]

    def make_key(self, algorithm: KeyAlgorithm) -> NewKey:
        """Refuse to make another key."""
        del algorithm
        self._refuse()

    def import_key(self, file: Path) -> NewKey:
        """Refuse to read another key."""
        del file
        self._refuse()

    def change(
        self,
        step: Callable[[KeyRing], KeyRing],
        record: Callable[[Sequence[KeyRecord]], None],
    ) -> Sequence[KeyRecord]:
        """Refuse every change."""
        del step, record
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise SigningKeyError(f"{self._holder} holds the one key; unset it to keep keys in a file")


def to_jwks(keys: Iterable[SigningKey]) -> Jwks:
    """Write the public parts of keys as a JWK Set (RFC 7517, section 5)."""
    return {"keys": [jwk for key in keys if (jwk := key.public_jwk()) is not None]}
