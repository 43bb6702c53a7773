"""Verification keys: JSON Web Keys (RFC 7517) and sets of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from jwt.algorithms import get_default_algorithms

from ordergate.adapters.tokens.keys.encoding import decode_base64url
from ordergate.adapters.tokens.keys.weaknesses import ed25519_weakness, rsa_weakness
from ordergate.domain.signing_keys import KeyAlgorithm

Key = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey | bytes

MAX_KEYS = 32
"""The maximum of keys in a set, because a token without a `kid` may be tried with each."""

MIN_SECRET_BYTES = 32
"""A key for HS256 is at least as long as its output (RFC 7518, section 3.2)."""

_COORDINATE_BYTES = 32
_ALGORITHMS = get_default_algorithms()


class InvalidKeySet(ValueError):
    """An unusable set of keys. The message has no key material."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key or a secret, with its only algorithm and optional id."""

    kid: str | None
    algorithm: KeyAlgorithm
    key: Key = field(repr=False)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, object]) -> Self:
        """Read a key that may verify signatures.

        Ed25519 → EdDSA (RFC 8037), P-256 → ES256, RSA → RS256, oct → HS256 (RFC 7518, section 6).
        Only the public part of a private key is kept. Raises ValueError for every other key, for
        weak keys, and for keys whose `use`, `key_ops` or `alg` excludes verification.
        """
        _check_purpose(jwk)
        algorithm, key = _key(jwk)
        if jwk.get("alg", algorithm) != algorithm:
            raise ValueError(f"alg is not {algorithm}, the one for keys of this kind")
        return cls(_kid(jwk), algorithm, key)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Report whether the signature of the message is valid."""
        return _ALGORITHMS[self.algorithm].verify(message, self.key, signature)


@dataclass(frozen=True, slots=True)
class KeySet:
    """A consistent set of keys.

    Each `kid` is unique, and the keys are either secrets or public. Keys of a published set that
    may not verify signatures are left out. `refused` has their positions in the set, from 0, and
    the reasons.
    """

    keys: tuple[VerifyingKey, ...]
    refused: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_together([key.kid for key in self.keys], [key.algorithm for key in self.keys])

    @classmethod
    def from_keys(cls, keys: Iterable[VerifyingKey]) -> Self:
        """Combine keys. Raises `InvalidKeySet`."""
        return cls(tuple(keys))

    @classmethod
    def from_jwks(cls, document: object) -> Self:
        """Read a JWK Set, or a single JWK. Raises `InvalidKeySet`.

        An ambiguity in any key, even one that is left out, makes the whole set invalid.
        """
        if not isinstance(document, Mapping):
            raise InvalidKeySet("not a JSON object")
        jwks = document.get("keys", [document])
        if not isinstance(jwks, list) or not all(isinstance(jwk, dict) for jwk in jwks):
            raise InvalidKeySet("keys is not a list of objects")
        _check_together(
            [_kid(jwk) for jwk in jwks],
            ["HS256" if jwk.get("kty") == "oct" else "" for jwk in jwks],
        )
        keys, refused = [], []
        for place, jwk in enumerate(jwks):
            try:
                keys.append(VerifyingKey.from_jwk(jwk))
            except ValueError as error:
                refused.append(f"key {place}: {error}")
        return cls(tuple(keys), tuple(refused))

    def candidates(self, algorithm: object, kid: str | None) -> list[VerifyingKey]:
        """Return the keys that may verify a token with this header.

        A token that names a key is verified with that key only. The algorithm must be the key's own
        (RFC 8725, section 3.1).
        """
        return [
            key
            for key in self.keys
            if key.algorithm == algorithm and (kid is None or key.kid == kid)
        ]


def _check_together(kids: list[str | None], algorithms: list[KeyAlgorithm] | list[str]) -> None:
    if len(kids) > MAX_KEYS:
        raise InvalidKeySet(f"more than {MAX_KEYS} keys")
    named = [kid for kid in kids if kid is not None]
    if len(set(named)) < len(named):
        raise InvalidKeySet("two keys have the same kid")
    if 0 < algorithms.count("HS256") < len(algorithms):
        raise InvalidKeySet("secrets and public keys are mixed")


def _kid(jwk: Mapping[str, object]) -> str | None:
    kid = jwk.get("kid")
    if "kid" in jwk and (not isinstance(kid, str) or not kid):
        raise InvalidKeySet("a kid is not text")
    return kid if isinstance(kid, str) else None


def _check_purpose(jwk: Mapping[str, object]) -> None:
    if "use" in jwk and jwk["use"] != "sig":
        raise ValueError("use is not sig")
    if "key_ops" in jwk:
        operations = jwk["key_ops"]
        if not isinstance(operations, list) or "verify" not in operations:
            raise ValueError("key_ops do not include verify")
        if not all(operation in ("sign", "verify") for operation in operations):
            raise ValueError("key_ops include more than signing and verifying")


def _key(jwk: Mapping[str, object]) -> tuple[KeyAlgorithm, Key]:
    match jwk.get("kty"), jwk.get("crv"):
        case "OKP", "Ed25519":
            return "EdDSA", _ed25519_key(_bytes(jwk, "x"))
        case "EC", "P-256":
            x, y = _bytes(jwk, "x"), _bytes(jwk, "y")
            if not len(x) == len(y) == _COORDINATE_BYTES:
                raise ValueError("a coordinate does not have 32 bytes")
            numbers = (int.from_bytes(x), int.from_bytes(y))
            return "ES256", EllipticCurvePublicNumbers(*numbers, SECP256R1()).public_key()
        case "RSA", None:
            e, n = int.from_bytes(_bytes(jwk, "e")), int.from_bytes(_bytes(jwk, "n"))
            return "RS256", _rsa_key(e, n)
        case "oct", None:
            secret = _bytes(jwk, "k")
            if len(secret) < MIN_SECRET_BYTES:
                raise ValueError(f"a secret of fewer than {MIN_SECRET_BYTES} bytes")
            return "HS256", secret
    raise ValueError("kty and crv must name an Ed25519, P-256, RSA or oct key")


def _ed25519_key(x: bytes) -> Ed25519PublicKey:
    key = Ed25519PublicKey.from_public_bytes(x)
    if weakness := ed25519_weakness(key):
        raise ValueError(weakness)
    return key


def _rsa_key(e: int, n: int) -> RSAPublicKey:
    try:
        key = RSAPublicNumbers(e, n).public_key()
    except (ValueError, OverflowError, UnsupportedAlgorithm):
        raise ValueError("no RSA key has these numbers") from None
    if weakness := rsa_weakness(key):
        raise ValueError(weakness)
    return key


def _bytes(jwk: Mapping[str, object], member: str) -> bytes:
    text = jwk.get(member)
    if not isinstance(text, str):
        raise ValueError(f"{member} is missing or not text")
    return decode_base64url(text)
