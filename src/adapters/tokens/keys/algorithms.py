"""Signature algorithms by their names in tokens and keys (RFC 7518, RFC 8037, RFC 9864)."""

from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import get_default_algorithms

Key = Ed25519PublicKey | Ed448PublicKey | EllipticCurvePublicKey | RSAPublicKey | bytes

PUBLIC_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"),
)
"""Every algorithm of public keys that is verified.

RFC 9864 names EdDSA by its curve: `Ed25519`, `Ed448`. The older name `EdDSA` stands for either.
"""

_ALLOWED: dict[tuple[str, str | None], frozenset[str]] = {
    ("RSA", None): frozenset(name for name in PUBLIC_ALGORITHMS if name.startswith(("RS", "PS"))),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
    ("OKP", "Ed448"): frozenset({"EdDSA", "Ed448"}),
    ("oct", None): frozenset({"HS256"}),
}
_MISSPELLED = {"ES521": "ES512"}
"""Names that some issuers write by mistake in the `alg` of a key."""

_KNOWN = get_default_algorithms()
_VERIFIERS = {
    name: _KNOWN["EdDSA" if name in {"Ed25519", "Ed448"} else name]
    for name in ("HS256", *PUBLIC_ALGORITHMS)
}


def find_algorithms(
    kty: object, crv: object, alg: object, permitted: Iterable[str]
) -> frozenset[str]:
    """Return the algorithms of a key by its `kty`, `crv` and `alg`.

    `alg` is `None` if it is missing.

    Without an `alg`, they are all that the kind of key allows. `permitted` limits them, except for
    a secret. Raises ValueError if none remains.
    """
    allowed = None
    if isinstance(kty, str) and isinstance(crv, str | None):
        allowed = _ALLOWED.get((kty, crv))
    if allowed is None:
        raise ValueError("kty and crv name no key that verifies signatures")
    if alg is not None:
        alg = _MISSPELLED.get(str(alg), alg)
        if alg not in allowed:
            raise ValueError(f"alg is not {' or '.join(sorted(allowed))}, as for keys of this kind")
        # Both names of EdDSA stand for the same signatures.
        allowed = allowed if kty == "OKP" else frozenset({str(alg)})
    if kty != "oct":
        allowed &= frozenset(permitted)
    if not allowed:
        raise ValueError("the settings permit no algorithm of this key")
    return allowed


def verify_signature(algorithm: str, key: Key, message: bytes, signature: bytes) -> bool:
    """Report whether the signature of a message is valid."""
    return _VERIFIERS[algorithm].verify(message, key, signature)
