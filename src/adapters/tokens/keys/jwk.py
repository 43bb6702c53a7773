"""Sets of JSON Web Keys (RFC 7517, section 5)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Self

from ordergate.adapters.tokens.keys.algorithms import PUBLIC_ALGORITHMS
from ordergate.adapters.tokens.keys.verifying_key import VerifyingKey

MAX_USABLE_KEYS = 32
"""The maximum of usable keys, because a token without a `kid` may be tried with each."""

MAX_ENTRIES = 256
"""The maximum of usable and unusable keys in a published set; a larger one is refused unread."""

_PRIVATE_MEMBERS = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})
"""The members of private keys and secrets (RFC 7518, section 6)."""

_MAX_KID_LENGTH = 64
"""The maximum of quoted characters of a `kid` in a message."""


class InvalidKeySet(ValueError):
    """An unusable set of keys. The message has no key material."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """A consistent set of keys.

    No token can mean two keys by its `kid` and `alg`, and the keys are either secrets or public.
    `refused` describes the keys of a published set that were left out: the position in the set,
    from 0, the `kid` and the reason.
    """

    keys: tuple[VerifyingKey, ...]
    refused: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.keys) > MAX_USABLE_KEYS:
            raise InvalidKeySet(f"more than {MAX_USABLE_KEYS} keys")
        if any(one.is_confusable_with(other) for one, other in combinations(self.keys, 2)):
            raise InvalidKeySet("two keys have the same kid")
        if len({isinstance(key.key, bytes) for key in self.keys}) > 1:
            raise InvalidKeySet("secrets and public keys are mixed")

    @classmethod
    def from_keys(cls, keys: Iterable[VerifyingKey]) -> Self:
        """Combine keys. Raises `InvalidKeySet`."""
        return cls(tuple(keys))

    @classmethod
    def from_jwks(
        cls,
        document: object,
        *,
        is_published: bool = False,
        permitted: Iterable[str] = PUBLIC_ALGORITHMS,
    ) -> Self:
        """Read a JWK Set or a single JWK.

        Raises `InvalidKeySet` for another document.

        Unusable keys are left out one by one (RFC 7517, section 5). Keys that a token cannot
        distinguish are left out afterwards, and secrets beside public keys. In a set that
        `is_published`, every secret and private key is left out.
        """
        if not isinstance(document, Mapping):
            raise InvalidKeySet("not a JSON object")
        jwks = document.get("keys", [document])
        if not isinstance(jwks, list):
            raise InvalidKeySet("keys is not a list")
        if len(jwks) > MAX_ENTRIES:
            raise InvalidKeySet(f"the set has more than {MAX_ENTRIES} entries")
        usable: dict[int, VerifyingKey] = {}
        refused: dict[int, str] = {}
        for place, jwk in enumerate(jwks):
            if len(usable) == MAX_USABLE_KEYS:
                refused[place] = f"the set has {MAX_USABLE_KEYS} usable keys before it"
                continue
            try:
                usable[place] = _read_usable_key(
                    jwk, is_published=is_published, permitted=permitted
                )
            except ValueError as error:
                refused[place] = str(error)
        refused |= _find_ambiguities(usable)
        keys = tuple(key for place, key in usable.items() if place not in refused)
        reasons = [_describe(place, jwks[place], refused[place]) for place in sorted(refused)]
        return cls(keys, tuple(reasons))

    def candidates(self, algorithm: object, kid: str | None) -> list[VerifyingKey]:
        """Return the keys that may verify a token with this header.

        A token that names a key is verified with that key only. The algorithm must be the key's own
        (RFC 8725, section 3.1).
        """
        return [
            key
            for key in self.keys
            if (kid is None or key.kid == kid)
            and isinstance(algorithm, str)
            and algorithm in key.algorithms
        ]


def _read_usable_key(jwk: object, *, is_published: bool, permitted: Iterable[str]) -> VerifyingKey:
    if not isinstance(jwk, Mapping):
        raise ValueError("not a JSON object")
    if is_published and not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise ValueError("it is a private key or a secret, which is public now")
    return VerifyingKey.from_jwk(jwk, permitted=permitted)


def _find_ambiguities(usable: Mapping[int, VerifyingKey]) -> dict[int, str]:
    """Say which usable keys must be left out because of others."""
    found: dict[int, str] = {}
    for (place, key), (other_place, other) in combinations(usable.items(), 2):
        if key.is_confusable_with(other):
            found |= dict.fromkeys((place, other_place), "another key has the same kid and alg")
        elif (key.kid, key.algorithms, key.key) == (other.kid, other.algorithms, other.key):
            found[other_place] = "the set has this key already"
    secrets = [place for place, key in usable.items() if isinstance(key.key, bytes)]
    if 0 < len(secrets) < len(usable):
        found |= dict.fromkeys(secrets, "a secret beside public keys")
    return found


def _describe(place: int, jwk: object, reason: str) -> str:
    kid = jwk.get("kid") if isinstance(jwk, Mapping) else None
    name = f", kid {kid[:_MAX_KID_LENGTH]!r}" if isinstance(kid, str) else ""
    return f"key {place}{name}: {reason}"
