"""Where the issuer gets its keys from: something that may change, or one key that does not."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Protocol

from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.adapters.tokens.keys.signing_key import SigningKey
from ordergate.application.ports.tokens import Jwks, PublicKeys


class KeySource(PublicKeys, Protocol):
    """The key that signs now, and all keys whose signatures are accepted."""

    @abstractmethod
    def signing(self) -> SigningKey:
        """Return the key that signs now."""

    @abstractmethod
    def verifying(self, *, newest: bool = False) -> KeySet:
        """Return the keys that verify: the same object as before unless they have changed.

        They may be as old as the source allows; with `newest` it looks for others first.
        """


class StaticKeys(KeySource):
    """One key or secret for as long as the process lives."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._verifying = KeySet.of([key.verifying()])

    def signing(self) -> SigningKey:
        """Return the key."""
        return self._key

    def verifying(self, *, newest: bool = False) -> KeySet:  # noqa: ARG002 - there is no newer one
        """Return the key as a set."""
        return self._verifying

    def jwks(self) -> Jwks:
        """Publish the key; a secret is nobody's to know, so its set is empty."""
        return jwks_of([self._key])


def jwks_of(keys: Iterable[SigningKey]) -> Jwks:
    """Write the public parts of keys as a JWK Set (RFC 7517, section 5)."""
    return {"keys": [jwk for key in keys if (jwk := key.public_jwk()) is not None]}
