"""Signing keys: PEM files, private JSON Web Keys, and secrets."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import InvalidKeyError

from ordergate.adapters.system.files import reason
from ordergate.adapters.tokens.keys.encoding import encode_base64url
from ordergate.adapters.tokens.keys.verifying_key import MIN_SECRET_BYTES, VerifyingKey
from ordergate.adapters.tokens.keys.weaknesses import find_rsa_weakness
from ordergate.domain.signing_keys import KeyAlgorithm

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

SECRET_KID = "secret"
"""The id of every secret. A thumbprint would let an attacker test guesses."""

_ALGORITHMS = get_default_algorithms()
_REQUIRED = {"EdDSA": "crv kty x", "ES256": "crv kty x y", "RS256": "e kty n"}
"""The members that identify a public key (RFC 7638, section 3.2; RFC 8037, section 2)."""


class InvalidSigningKey(ValueError):
    """A key that cannot sign.

    The message says why and which keys can sign. It has no key material.
    """


class UnreadableSigningKey(InvalidSigningKey):
    """A file that the system refuses; the message says why."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key or secret with its only algorithm and its id.

    The id of a key pair is its RFC 7638 thumbprint, that of a secret is `SECRET_KID`.
    """

    algorithm: KeyAlgorithm
    key: PrivateKey | bytes = field(repr=False)
    kid: str

    @classmethod
    def from_secret(cls, secret: str) -> Self:
        """Sign with HS256. Raises `InvalidSigningKey` for fewer than 32 bytes of UTF-8."""
        key = secret.encode()
        if len(key) < MIN_SECRET_BYTES:
            raise InvalidSigningKey(f"a signing secret has at least {MIN_SECRET_BYTES} bytes")
        return cls("HS256", key, SECRET_KID)

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read an unencrypted private key; its kind determines the algorithm.

        Ed25519 → EdDSA, P-256 → ES256, RSA → RS256. Raises `InvalidSigningKey` for any other key,
        and for weak RSA keys.
        """
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except TypeError:
            raise InvalidSigningKey("the key is encrypted; store it without a passphrase") from None
        except (ValueError, UnsupportedAlgorithm):
            raise InvalidSigningKey("this is not a PEM file with a private key") from None
        return cls._from_private_key(key)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a PEM file. Raises `InvalidSigningKey`, also for an unreadable file."""
        try:
            return cls.from_pem(path.read_bytes())
        except OSError as error:
            raise UnreadableSigningKey(f"cannot be read: {reason(error, path)}") from None

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, object]) -> Self:
        """Read the output of `private_jwk`. Raises `InvalidSigningKey` for other input."""
        if jwk.get("alg") not in _REQUIRED:
            raise InvalidSigningKey(f"alg must be one of {', '.join(_REQUIRED)}")
        try:
            private = _ALGORITHMS[str(jwk["alg"])].from_jwk(dict(jwk))
        except (InvalidKeyError, TypeError, ValueError, UnsupportedAlgorithm):
            raise InvalidSigningKey("this is not a private JWK") from None
        key = cls._from_private_key(private)
        if (key.algorithm, key.kid) != (jwk["alg"], jwk.get("kid")):
            raise InvalidSigningKey("alg or kid is another key's")
        return key

    @classmethod
    def new(cls, algorithm: KeyAlgorithm) -> Self:
        """Generate a key pair for EdDSA, ES256 or RS256 (4096 bits)."""
        return cls._from_private_key(new_private_key(algorithm))

    @classmethod
    def _from_private_key(cls, key: object) -> Self:
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return cls("EdDSA", key, _compute_thumbprint("EdDSA", key))
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return cls("ES256", key, _compute_thumbprint("ES256", key))
        if isinstance(key, rsa.RSAPrivateKey):
            if weakness := find_rsa_weakness(key.public_key()):
                raise InvalidSigningKey(f"the RSA key is weak: {weakness}")
            return cls("RS256", key, _compute_thumbprint("RS256", key))
        raise InvalidSigningKey("the key must be Ed25519, EC on P-256, or RSA")

    def verifying(self) -> VerifyingKey:
        """Return the key that verifies signatures of this one."""
        public = self.key if isinstance(self.key, bytes) else self.key.public_key()
        return VerifyingKey(self.kid, frozenset({self.algorithm}), public)

    def public_jwk(self) -> dict[str, str] | None:
        """Write the public key as a JWK (RFC 7517); a secret has none."""
        if isinstance(self.key, bytes):
            return None
        return _make_jwk(self.algorithm, self.key.public_key()) | self._name_members()

    def private_jwk(self) -> dict[str, str]:
        """Write the private key as a JWK (RFC 7517). Raises ValueError for a secret."""
        if isinstance(self.key, bytes):
            raise ValueError("a secret is kept outside the service")
        return _make_jwk(self.algorithm, self.key) | self._name_members()

    def _name_members(self) -> dict[str, str]:
        return {"kid": self.kid, "alg": self.algorithm, "use": "sig"}


def new_private_key(algorithm: KeyAlgorithm) -> PrivateKey:
    """Generate a key pair. Raises ValueError for HS256, which has none."""
    match algorithm:
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "RS256":
            return rsa.generate_private_key(public_exponent=65537, key_size=4096)
        case _:
            raise ValueError("HS256 signs with a secret, not with a key pair")


def _make_jwk(algorithm: KeyAlgorithm, key: object) -> dict[str, str]:
    members: dict[str, Any] = _ALGORITHMS[algorithm].to_jwk(key, as_dict=True)
    # PyJWT adds it for RSA only; `use` has the same meaning for every kind.
    return {name: value for name, value in members.items() if name != "key_ops"}


def _compute_thumbprint(algorithm: KeyAlgorithm, key: PrivateKey) -> str:
    """Return the thumbprint of a public key (RFC 7638, RFC 8037)."""
    jwk = _make_jwk(algorithm, key.public_key())
    members = {name: jwk[name] for name in _REQUIRED[algorithm].split()}
    document = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return encode_base64url(hashlib.sha256(document).digest())
