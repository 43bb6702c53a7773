"""Refresh tokens: opaque to clients, unknown to the storage."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import NewType, Self

TokenDigest = NewType("TokenDigest", bytes)
"""What a storage knows of a refresh token: the SHA-256 of its 32 bytes."""

_BYTES = 32
_PREFIX = "ogr_"
_FORM = re.compile(r"ogr_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """256 bits of the system's randomness; as text `ogr_` and 43 characters of base64url.

    Its digest is stored and the token is not. A rotated token has its successor sealed beside it:
    XORed with a key that only the old token gives, used for that one successor. So whoever holds
    the old token can receive the same successor again, and who reads the storage learns nothing.
    """

    entropy: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """Make a token."""
        return cls(secrets.token_bytes(_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a token, or return `None` for text that is none."""
        if not _FORM.fullmatch(text):
            return None
        token = cls(base64.urlsafe_b64decode(text.removeprefix(_PREFIX) + "="))
        return token if token.text == text else None  # the last character has two bits to spare

    @property
    def text(self) -> str:
        """The token as clients send it."""
        return _PREFIX + base64.urlsafe_b64encode(self.entropy).rstrip(b"=").decode()

    @property
    def digest(self) -> TokenDigest:
        """What is stored."""
        return TokenDigest(hashlib.sha256(self.entropy).digest())

    def seal(self, successor: "RefreshToken") -> bytes:
        """Hide the successor from everybody who has not this token."""
        return self._mask(successor.entropy)

    def unseal(self, sealed: bytes) -> "RefreshToken":
        """Return the successor that `seal` hid."""
        return RefreshToken(self._mask(sealed))

    def _mask(self, data: bytes) -> bytes:
        key = hmac.digest(self.entropy, b"ordergate: successor of a refresh token", "sha256")
        return bytes(a ^ b for a, b in zip(data, key, strict=True))
