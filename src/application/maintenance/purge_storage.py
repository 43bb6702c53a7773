"""Remove expired keys and old sessions."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from ordergate.application.ports.clock import Clock
from ordergate.application.ports.orders import OrderRepository
from ordergate.application.ports.sessions import SessionRepository

STEP = 250
"""The most rows that one step removes: other writes wait for the end of a step."""

_PAUSE_SECONDS = 0.005
"""The pause between two steps. A process that waits for the lock of a SQLite file polls every
millisecond."""


@dataclass(frozen=True, slots=True)
class Purged:
    """The numbers of removed idempotency keys and sessions."""

    keys: int
    sessions: int


@dataclass(frozen=True, slots=True)
class PurgeStorage:
    """Remove expired idempotency keys and sessions that ended before `keep_sessions`.

    `keep_sessions` must be longer than the lifetime of an access token. Otherwise a token could be
    accepted again after its session was removed. The use case may run while others use the storage,
    and several times in parallel.
    """

    orders: OrderRepository
    sessions: SessionRepository
    clock: Clock

    async def __call__(self, *, keep_sessions: timedelta) -> Purged:
        now = self.clock.now()
        keys = await self._purge_keys(now)
        return Purged(keys, await self._purge_sessions(now - keep_sessions))

    async def _purge_keys(self, expired_by: datetime) -> int:
        keys = 0
        while removed := await self.orders.purge_expired_keys(expired_by=expired_by, limit=STEP):
            keys += removed
            await asyncio.sleep(_PAUSE_SECONDS)
        return keys

    async def _purge_sessions(self, over_by: datetime) -> int:
        sessions = 0
        while any(removed := await self.sessions.purge_ended(over_by=over_by, limit=STEP)):
            sessions += removed.sessions
            await asyncio.sleep(_PAUSE_SECONDS)
        return sessions
