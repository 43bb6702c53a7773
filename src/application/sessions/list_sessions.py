"""List the caller's sessions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ordergate.application.caller_limit import CallerLimit, reads_of_lists
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.sessions import SessionRepository
from ordergate.domain.session import MAX_SESSIONS, Session
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class ListSessions:
    """Return the user's active sessions, most recently used first.

    Raises `TooManyRequests` beyond `limit_of_caller`.
    """

    sessions: SessionRepository
    clock: Clock
    limit_of_caller: CallerLimit = field(default_factory=reads_of_lists)

    async def __call__(self, *, user: UserId) -> Sequence[Session]:
        async with self.limit_of_caller.turn(user):
            return await self.sessions.list_active(user, at=self.clock.now(), limit=MAX_SESSIONS)
