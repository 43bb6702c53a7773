"""See where one is signed in."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.ports.clock import Clock
from application.ports.sessions import SessionRepository
from domain.session import Session
from domain.user import UserId

MAX_SESSIONS = 100


@dataclass(frozen=True, slots=True)
class ListSessions:
    """Return the user's live sessions, the latest used first, and at most `MAX_SESSIONS`."""

    sessions: SessionRepository
    clock: Clock

    async def __call__(self, *, user: UserId) -> Sequence[Session]:
        return await self.sessions.live(user, at=self.clock.now(), limit=MAX_SESSIONS)
