"""The key tokens are signed with: a PEM file, a secret, or one made on first use."""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from adapters.tokens.encoding import encode_base64url
from adapters.tokens.jwk import MIN_SECRET_BYTES, Algorithm, KeySet, VerifyingKey
from adapters.tokens.weaknesses import rsa_weakness

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class InvalidSigningKey(ValueError):
    """A key that cannot sign; the message says why and what can, and holds no key material."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key or a secret, the one algorithm it is used with, and its id.

    The id of a key pair is its RFC 7638 thumbprint. A secret has none: a thumbprint would let
    anybody test guesses.
    """

    algorithm: Algorithm
    key: PrivateKey | bytes = field(repr=False)
    kid: str | None

    @classmethod
    def from_secret(cls, secret: str) -> Self:
        """Sign with HS256. Raises `InvalidSigningKey` for fewer than 32 bytes of UTF-8."""
        key = secret.encode()
        if len(key) < MIN_SECRET_BYTES:
            raise InvalidSigningKey(f"a signing secret has at least {MIN_SECRET_BYTES} bytes")
        return cls("HS256", key, None)

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read an unencrypted private key; the algorithm follows from its kind.

        Ed25519 → EdDSA, P-256 → ES256, RSA → RS256. Raises `InvalidSigningKey` for anything else,
        and for RSA keys that no verifier should accept.
        """
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except TypeError:
            raise InvalidSigningKey("the key is encrypted; store it without a passphrase") from None
        except (ValueError, UnsupportedAlgorithm):
            raise InvalidSigningKey("this is not a PEM file with a private key") from None
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return cls("EdDSA", key, _thumbprint(key))
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return cls("ES256", key, _thumbprint(key))
        if isinstance(key, rsa.RSAPrivateKey):
            if weakness := rsa_weakness(key.public_key()):
                raise InvalidSigningKey(f"the RSA key is weak: {weakness}")
            return cls("RS256", key, _thumbprint(key))
        raise InvalidSigningKey("the key must be Ed25519, EC on P-256, or RSA")

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a PEM file. Raises `InvalidSigningKey`, also when the file cannot be read."""
        try:
            return cls.from_pem(path.read_bytes())
        except OSError as error:
            raise InvalidSigningKey(f"cannot be read: {error.strerror}") from None

    @classmethod
    def from_file_or_new(cls, path: Path) -> Self:
        """Read the key file, making one with a new Ed25519 key first if there is none.

        Processes that start at once agree on one key.
        """
        try:
            write_new_key(path)
        except FileExistsError:
            pass
        except OSError as error:
            raise InvalidSigningKey(f"cannot be made: {error.strerror}") from None
        return cls.from_file(path)

    def verifying(self) -> KeySet:
        """Return the set that verifies what this key signs."""
        public = self.key if isinstance(self.key, bytes) else self.key.public_key()
        return KeySet.of([VerifyingKey(self.kid, self.algorithm, public)])


def new_private_key(algorithm: Algorithm) -> PrivateKey:
    """Make a key pair for EdDSA, ES256 or RS256 (4096 bits). HS256 has no key pair: ValueError."""
    match algorithm:
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "RS256":
            return rsa.generate_private_key(public_exponent=65537, key_size=4096)
        case _:
            raise ValueError("HS256 signs with a secret, not with a key pair")


def write_new_key(path: Path, algorithm: Algorithm = "EdDSA") -> None:
    """Write a new private key as PEM (PKCS #8) to a file of mode 0600.

    The file appears whole or not at all, and never in place of another: raises FileExistsError,
    and OSError when it cannot be written.
    """
    pem = new_private_key(algorithm).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    if path.exists():
        raise FileExistsError(path)
    _make_private_folder(path.parent)
    number, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # of mode 0600
    try:
        with os.fdopen(number, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    finally:
        Path(draft).unlink()


def _make_private_folder(folder: Path) -> None:
    if not folder.exists():
        _make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _thumbprint(key: PrivateKey) -> str:
    """Name a public key by the SHA-256 of its required members (RFC 7638, RFC 8037)."""
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        members = {"crv": "Ed25519", "kty": "OKP", "x": encode_base64url(public.public_bytes_raw())}
    elif isinstance(public, ec.EllipticCurvePublicKey):
        x, y = (
            encode_base64url(n.to_bytes(32))
            for n in (public.public_numbers().x, public.public_numbers().y)
        )
        members = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    else:
        e, n = (
            encode_base64url(i.to_bytes((i.bit_length() + 7) // 8))
            for i in (public.public_numbers().e, public.public_numbers().n)
        )
        members = {"e": e, "kty": "RSA", "n": n}
    document = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return encode_base64url(hashlib.sha256(document).digest())
