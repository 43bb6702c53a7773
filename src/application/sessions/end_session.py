"""End a session of a user."""

from dataclasses import dataclass

from ordergate.application.auditing import record_ended
from ordergate.application.errors import SessionNotFound
from ordergate.application.ports.audit import Audit, Origin
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.sessions import SessionRepository
from ordergate.domain.session import SessionEndReason, SessionId
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class EndSession:
    """End a session of the user. Raises `SessionNotFound` if there is none."""

    sessions: SessionRepository
    clock: Clock
    audit: Audit

    async def __call__(
        self,
        session: SessionId,
        *,
        user: UserId,
        origin: Origin | None = None,
        reason: SessionEndReason = SessionEndReason.SIGNED_OUT,
    ) -> None:
        if not await self.sessions.end(session, user=user, reason=reason, at=self.clock.now()):
            raise SessionNotFound
        record_ended(self.audit, [session], reason, user=user, origin=origin)
