"""Close the caller's account."""

from dataclasses import dataclass

from ordergate.application.accounts.reauthenticate import ATTEMPTS, Reauthenticate
from ordergate.application.auditing import record_ended
from ordergate.application.errors import WrongPassword
from ordergate.application.ports.audit import Audit, AuditEvent, Origin
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.tokens import Caller
from ordergate.application.ports.users import UserRepository
from ordergate.domain.session import SessionEndReason


@dataclass(frozen=True, slots=True)
class CloseAccount:
    """End the caller's sessions and erase their name and password.

    Their orders stay without a name.

    Raises:
        AccountHasOpenOrders: an order is neither delivered nor cancelled.
        WrongPassword: the password is incorrect, or was changed meanwhile.
        Throttled, Overloaded, InvalidToken: as `Reauthenticate` raises them.
    """

    users: UserRepository
    reauthenticate: Reauthenticate
    clock: Clock
    audit: Audit

    async def __call__(self, password: str, *, caller: Caller, origin: Origin) -> None:
        user = caller.id
        ended = None
        for _ in range(ATTEMPTS):
            account = await self.reauthenticate(password, caller=caller, origin=origin)
            ended = await self.users.close(
                user, password_hash=account.password_hash, at=self.clock.now()
            )
            if ended is not None:
                break
        if ended is None:
            raise WrongPassword
        record_ended(self.audit, ended, SessionEndReason.ACCOUNT_CLOSED, user=user, origin=origin)
        self.audit.record(AuditEvent.ACCOUNT_CLOSED, origin=origin, user=user)
