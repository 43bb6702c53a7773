"""Replace the stored hash of an account and end its sessions."""

from dataclasses import dataclass

from ordergate.application.auditing import record_ended
from ordergate.application.errors import AccountChanged
from ordergate.application.ports.audit import Audit, AuditEvent
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.users import PasswordChange, UserRepository
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import User


@dataclass(frozen=True, slots=True)
class ReplaceHash:
    """Replace a hash and end all sessions in one step.

    Records `event` and the ended sessions. Raises `AccountChanged` if the stored hash differs.
    """

    users: UserRepository
    clock: Clock
    audit: Audit

    async def __call__(
        self, old: User, new: User, *, event: AuditEvent, reason: SessionEndReason
    ) -> None:
        ended = await self.users.change_password(
            PasswordChange(
                old.id,
                old=old.password_hash,
                new=new.password_hash,
                keep=None,
                at=self.clock.now(),
                reason=reason,
            )
        )
        if ended is None:
            raise AccountChanged
        self.audit.record(event, user=old.id)
        record_ended(self.audit, ended, reason, user=old.id)
