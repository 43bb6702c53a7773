"""Consistency tokens: what a client has written, for the reads that follow.

An answer to a write has a `Consistency-Token`. A read with it may come from a copy of the storage
that has this write. A read without it, or with an unknown one, never does.
"""

import base64
import hmac
import re
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ordergate.application.consistency import CURRENT, Consistency
from ordergate.application.errors import StorageUnavailable
from ordergate.application.purpose_keys import KeyPurpose
from ordergate.entrypoints.http.services import Services

TOKEN_FIELD = "Consistency-Token"
NO_WRITE = "none"
"""The token of a client that has written nothing."""

_UNKNOWN = "unknown"
"""The token of a write whose position is not known, such as a refused one."""

_READING = frozenset({"GET", "HEAD"})
_POSITION_BYTES = 12
_SEAL_BYTES = 15
_TEXT = re.compile(r"[A-Za-z0-9_-]{36}")
_MAX_TOKENS = 16
_FIELD = TOKEN_FIELD.lower().encode()


@dataclass(frozen=True, slots=True)
class ConsistencyTokens:
    """Writes and reads tokens under a key that all hosts share.

    A token is base64url of a seal and of the position of a write. It hides the position, which
    counts the writes of everyone. The seal is the HMAC-SHA-256 of the position, cut to 15 bytes,
    and the HMAC of the seal masks the position.
    """

    key: bytes = field(repr=False)

    def encode(self, position: int) -> str:
        """Seal a position as 36 URL-safe characters."""
        packed = position.to_bytes(_POSITION_BYTES)
        seal = self._seal(packed)
        return base64.urlsafe_b64encode(seal + self._mask(packed, seal)).decode()

    def decode(self, token: str) -> int | None:
        """Return the position of a token, or `None` for other text."""
        if token == NO_WRITE:
            return 0
        if not _TEXT.fullmatch(token):
            return None
        sealed = base64.urlsafe_b64decode(token)
        seal, masked = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        packed = self._mask(masked, seal)
        return int.from_bytes(packed) if hmac.compare_digest(seal, self._seal(packed)) else None

    def _seal(self, packed: bytes) -> bytes:
        return hmac.digest(self.key, b"seal" + packed, "sha256")[:_SEAL_BYTES]

    def _mask(self, data: bytes, seal: bytes) -> bytes:
        mask = hmac.digest(self.key, b"mask" + seal, "sha256")[:_POSITION_BYTES]
        return bytes(a ^ b for a, b in zip(data, mask, strict=True))


class ConsistentReads:
    """Reads the token of each request, and sends that of its writes."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self.app = app
        self._keys = services.purpose_keys()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        consistency = Consistency(needed=await self._find_needed(scope))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and consistency.is_writing:
                token = await self._write_token(consistency.written)
                message["headers"] = [*message["headers"], (_FIELD, token.encode())]
            await send(message)

        former = CURRENT.set(consistency)
        try:
            await self.app(scope, receive, sending)
        finally:
            CURRENT.reset(former)

    async def _find_needed(self, scope: Scope) -> int | None:
        """Return the position of the latest write of all tokens.

        An unknown token permits no copy.
        """
        values = Headers(scope=scope).getlist(TOKEN_FIELD) if scope["method"] in _READING else []
        texts = [text.strip() for value in values for text in value.split(",")]
        if not 0 < len(texts) <= _MAX_TOKENS:
            return None
        try:
            tokens = await self._get_tokens()
        except StorageUnavailable:  # the primary says so
            return None
        positions = [tokens.decode(text) for text in texts]
        known = [position for position in positions if position is not None]
        return max(known) if len(known) == len(positions) else None

    async def _write_token(self, position: int | None) -> str:
        if position is None:
            return _UNKNOWN
        try:
            return (await self._get_tokens()).encode(position)
        except StorageUnavailable:  # the write is stored all the same
            return _UNKNOWN

    async def _get_tokens(self) -> ConsistencyTokens:
        return ConsistencyTokens(await self._keys.get(KeyPurpose.CONSISTENCY_TOKENS))
