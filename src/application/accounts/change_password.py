"""Change the caller's password."""

from dataclasses import dataclass

from ordergate.application.accounts.reauthenticate import CONFIRMATIONS, Reauthenticate
from ordergate.application.auditing import record_ended
from ordergate.application.errors import WrongPassword
from ordergate.application.ports.audit import Audit, AuditEvent, Origin
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.passwords import PasswordHasher, Requester
from ordergate.application.ports.tokens import Caller
from ordergate.application.ports.users import PasswordChange, UserRepository
from ordergate.domain.password_rules import PasswordRules
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import Password


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Replace the caller's password and end all their other sessions.

    Raises:
        WrongPassword: the current password is incorrect, or was changed meanwhile.
        InvalidPassword: the new password is not valid text.
        WeakPassword: the new password breaks a rule.
        Throttled, Overloaded, InvalidToken: as `Reauthenticate` raises them.
    """

    users: UserRepository
    hasher: PasswordHasher
    reauthenticate: Reauthenticate
    rules: PasswordRules
    clock: Clock
    audit: Audit

    async def __call__(self, current: str, new: str, *, caller: Caller, origin: Origin) -> None:
        ended = None
        for _ in range(CONFIRMATIONS):
            account = await self.reauthenticate(current, caller=caller, origin=origin)
            secret = Password.new(new)
            self.rules.check(secret, account.username)
            requester = Requester.from_client(origin.address, account.username.value, known=True)
            ended = await self.users.change_password(
                PasswordChange(
                    caller.id,
                    old=account.password_hash,
                    new=await self.hasher.hash(secret, requester),
                    keep=caller.session,
                    at=self.clock.now(),
                )
            )
            if ended is not None:
                break
        if ended is None:
            raise WrongPassword
        self.audit.record(
            AuditEvent.PASSWORD_CHANGED, origin=origin, user=caller.id, session=caller.session
        )
        record_ended(
            self.audit, ended, SessionEndReason.PASSWORD_CHANGED, user=caller.id, origin=origin
        )
