"""Keys that all hosts of a storage share, each for one purpose."""

import hmac
from enum import StrEnum

from ordergate.application.ports.storage import Storage


class KeyPurpose(StrEnum):
    """The purpose of a key. No two purposes share a key."""

    ORDER_CURSORS = "seal cursors of lists of orders"
    COPY_SOURCE = "name the source of a copy"


async def get_purpose_key(storage: Storage, purpose: KeyPurpose) -> bytes:
    """Derive 32 bytes from the secret of the storage.

    The secret is uniformly random, so one HMAC-SHA-256 is enough (RFC 5869, section 3.3).
    """
    return hmac.digest(await storage.get_secret(), purpose.value.encode(), "sha256")
