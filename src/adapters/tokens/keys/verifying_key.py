"""A JSON Web Key that verifies signatures (RFC 7517, section 4)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from ordergate.adapters.tokens.keys.algorithms import (
    PUBLIC_ALGORITHMS,
    Key,
    find_algorithms,
    verify_signature,
)
from ordergate.adapters.tokens.keys.encoding import decode_base64url
from ordergate.adapters.tokens.keys.weaknesses import (
    find_ed448_weakness,
    find_ed25519_weakness,
    find_rsa_weakness,
)

MIN_SECRET_BYTES = 32
"""A key for HS256 is at least as long as its output (RFC 7518, section 3.2)."""

_CURVES = {"P-256": (SECP256R1, 32), "P-384": (SECP384R1, 48), "P-521": (SECP521R1, 66)}
"""Each curve, and the size of a coordinate in bytes (RFC 7518, section 6.2.1.2)."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key or secret with its algorithms and an optional id."""

    kid: str | None
    algorithms: frozenset[str]
    key: Key = field(repr=False)

    @classmethod
    def from_jwk(
        cls, jwk: Mapping[str, object], *, permitted: Iterable[str] = PUBLIC_ALGORITHMS
    ) -> Self:
        """Read a key that may verify signatures.

        Its algorithm is its `alg`, or any that its `kty` and `crv` allow (RFC 7518, section 6; RFC
        8037, section 2) and that is in `permitted`. Only the public part of a private key is kept.
        Raises ValueError for every other key, for weak keys, and for keys whose `use`, `key_ops` or
        `alg` excludes verification.
        """
        kid = jwk.get("kid")
        if "kid" in jwk and not isinstance(kid, str):
            raise ValueError("kid is not text")
        if kid == "":
            raise ValueError("kid is empty")
        _check_purpose(jwk)
        if "alg" in jwk and not isinstance(jwk["alg"], str):
            raise ValueError("alg is not text")
        algorithms = find_algorithms(jwk.get("kty"), jwk.get("crv"), jwk.get("alg"), permitted)
        try:
            key = _read_key(jwk)
        except UnsupportedAlgorithm:
            raise ValueError("the cryptographic library does not support this key") from None
        return cls(kid if isinstance(kid, str) else None, algorithms, key)

    def verify(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Report whether the signature of the message is valid."""
        return verify_signature(algorithm, self.key, message, signature)

    def is_confusable_with(self, other: "VerifyingKey") -> bool:
        """Report whether a token may mean either of two different keys."""
        return (
            self.kid is not None
            and self.kid == other.kid
            and not self.algorithms.isdisjoint(other.algorithms)
            and self.key != other.key
        )


def _check_purpose(jwk: Mapping[str, object]) -> None:
    if "use" in jwk and jwk["use"] != "sig":
        raise ValueError("use is not sig")
    if "key_ops" in jwk:
        operations = jwk["key_ops"]
        if not isinstance(operations, list) or "verify" not in operations:
            raise ValueError("key_ops do not include verify")
        if not all(operation in ("sign", "verify") for operation in operations):
            raise ValueError("key_ops include more than signing and verifying")


def _read_key(jwk: Mapping[str, object]) -> Key:
    """Read the material of a key whose `kty` and `crv` are known."""
    match jwk["kty"], jwk.get("crv"):
        case "OKP", "Ed25519":
            return _check_edwards_key(Ed25519PublicKey.from_public_bytes(_decode_member(jwk, "x")))
        case "OKP", _:
            return _check_edwards_key(Ed448PublicKey.from_public_bytes(_decode_member(jwk, "x")))
        case "EC", curve:
            return _read_ec_key(str(curve), _decode_member(jwk, "x"), _decode_member(jwk, "y"))
        case "RSA", _:
            e, n = (
                int.from_bytes(_decode_member(jwk, "e")),
                int.from_bytes(_decode_member(jwk, "n")),
            )
            return _read_rsa_key(e, n)
    secret = _decode_member(jwk, "k")
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"a secret of fewer than {MIN_SECRET_BYTES} bytes")
    return secret


def _check_edwards_key(key: Ed25519PublicKey | Ed448PublicKey) -> Key:
    if isinstance(key, Ed25519PublicKey):
        weakness = find_ed25519_weakness(key)
    else:
        weakness = find_ed448_weakness(key)
    if weakness:
        raise ValueError(weakness)
    return key


def _read_ec_key(name: str, x: bytes, y: bytes) -> EllipticCurvePublicKey:
    curve, size = _CURVES[name]
    if not len(x) == len(y) == size:
        raise ValueError(f"a coordinate does not have {size} bytes")
    numbers = EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve())
    return numbers.public_key()


def _read_rsa_key(e: int, n: int) -> RSAPublicKey:
    try:
        key = RSAPublicNumbers(e, n).public_key()
    except (ValueError, OverflowError):
        raise ValueError("no RSA key has these numbers") from None
    if weakness := find_rsa_weakness(key):
        raise ValueError(weakness)
    return key


def _decode_member(jwk: Mapping[str, object], member: str) -> bytes:
    text = jwk.get(member)
    if not isinstance(text, str):
        raise ValueError(f"{member} is missing or not text")
    return decode_base64url(text)
