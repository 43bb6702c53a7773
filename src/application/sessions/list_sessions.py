"""List the caller's sessions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ordergate.application.concurrency_limit import ConcurrencyLimit, make_list_limit
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.sessions import SessionRepository
from ordergate.domain.session import MAX_SESSIONS, Session
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class ListSessions:
    """Return the user's active sessions, most recently used first.

    Raises `TooManyRequests` beyond `concurrency_limit`.
    """

    sessions: SessionRepository
    clock: Clock
    concurrency_limit: ConcurrencyLimit = field(default_factory=make_list_limit)

    async def __call__(self, *, user: UserId) -> Sequence[Session]:
        async with self.concurrency_limit.acquire(user):
            return await self.sessions.list_active(user, at=self.clock.now(), limit=MAX_SESSIONS)
