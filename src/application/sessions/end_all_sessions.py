"""End all sessions of a user."""

from dataclasses import dataclass

from ordergate.application.auditing import record_ended
from ordergate.application.ports.audit import Audit, Origin
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.sessions import SessionRepository
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class EndAllSessions:
    """End every session of the user, including the caller's."""

    sessions: SessionRepository
    clock: Clock
    audit: Audit

    async def __call__(
        self,
        *,
        user: UserId,
        origin: Origin | None = None,
        reason: SessionEndReason = SessionEndReason.SIGNED_OUT,
    ) -> None:
        ended = await self.sessions.end_all(user, reason=reason, at=self.clock.now())
        record_ended(self.audit, ended, reason, user=user, origin=origin)
