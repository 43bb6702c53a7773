"""Keys that all hosts of a storage share, each for one purpose."""

import hmac
from collections.abc import Hashable
from enum import StrEnum

from ordergate.application.ports.storage import Storage


class KeyPurpose(StrEnum):
    """The purpose of a key. No two purposes share a key."""

    ORDER_CURSORS = "seal cursors of lists of orders"
    CONSISTENCY_TOKENS = "seal consistency tokens"
    COPY_SOURCE = "name the source of a copy"


class PurposeKeys:
    """Derives keys from the secret of a storage, and keeps them.

    A replaced storage has other keys.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._kept: dict[KeyPurpose, tuple[Hashable, bytes]] = {}

    async def get(self, purpose: KeyPurpose) -> bytes:
        """Return the 32 bytes of a purpose.

        The secret is uniformly random, so one HMAC-SHA-256 is enough (RFC 5869, section 3.3).
        """
        identity = self._storage.identity()
        if purpose not in self._kept or self._kept[purpose][0] != identity:
            secret = await self._storage.get_secret()
            self._kept[purpose] = identity, hmac.digest(secret, purpose.value.encode(), "sha256")
        return self._kept[purpose][1]
