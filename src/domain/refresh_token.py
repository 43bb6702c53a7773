"""Refresh tokens: opaque to clients, unknown to the storage."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import NewType, Self

TokenDigest = NewType("TokenDigest", bytes)
"""The stored form of a refresh token: SHA-256 of its bytes."""

_BYTES = 32
_PREFIX = "ogr_"
_FORM = re.compile(r"ogr_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """256 random bits; as text `ogr_` and 43 characters of base64url.

    The storage has the digest and not the token. Beside a rotated token it has the sealed
    successor: XORed with a key that HMAC derives from the old token and that seals this successor
    only. The old token therefore reveals its successor again, and the storage reveals nothing.
    """

    entropy: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """Generate a token."""
        return cls(secrets.token_bytes(_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a token; return `None` for any other text."""
        if not _FORM.fullmatch(text):
            return None
        token = cls(base64.urlsafe_b64decode(text.removeprefix(_PREFIX) + "="))
        return token if token.text == text else None  # two bits of the last character are unused

    @property
    def text(self) -> str:
        """The token in the form that clients send."""
        return _PREFIX + base64.urlsafe_b64encode(self.entropy).rstrip(b"=").decode()

    @property
    def digest(self) -> TokenDigest:
        """The form that is stored."""
        return TokenDigest(hashlib.sha256(self.entropy).digest())

    def seal(self, successor: "RefreshToken") -> bytes:
        """Encrypt the successor so that only this token decrypts it."""
        return self._mask(successor.entropy)

    def unseal(self, sealed: bytes) -> "RefreshToken":
        """Decrypt a successor that `seal` encrypted."""
        return RefreshToken(self._mask(sealed))

    def _mask(self, data: bytes) -> bytes:
        key = hmac.digest(self.entropy, b"ordergate: successor of a refresh token", "sha256")
        return bytes(a ^ b for a, b in zip(data, key, strict=True))
