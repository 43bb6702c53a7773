"""Remove what has served its time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from application.ports.clock import Clock
from application.ports.orders import OrderRepository
from application.ports.sessions import SessionRepository

_KEYS = 1_000
_SESSIONS = 50
"""So many go in one step: a session may have thousands of refresh tokens, and writers wait."""


@dataclass(frozen=True, slots=True)
class Purged:
    """How many idempotency keys and sessions were removed."""

    keys: int
    sessions: int


@dataclass(frozen=True, slots=True)
class PurgeStorage:
    """Remove expired idempotency keys, and sessions that were over longer ago than `keep_sessions`.

    That must be longer than an access token lives, or one whose session was forgotten could be
    believed again. It may run while others use the storage, and several times at once.
    """

    orders: OrderRepository
    sessions: SessionRepository
    clock: Clock

    async def __call__(self, *, keep_sessions: timedelta) -> Purged:
        now = self.clock.now()
        return Purged(
            keys=await _all(
                lambda: self.orders.forget_keys(expired_by=now, limit=_KEYS),
            ),
            sessions=await _all(
                lambda: self.sessions.forget(over_by=now - keep_sessions, limit=_SESSIONS),
            ),
        )


async def _all(forget_some: Callable[[], Awaitable[int]]) -> int:
    forgotten = 0
    while some := await forget_some():
        forgotten += some
    return forgotten
