"""Close the caller's account."""

from dataclasses import dataclass
from datetime import timedelta

from ordergate.application.accounts.reauthenticate import CONFIRMATIONS, Reauthenticate
from ordergate.application.auditing import record_ended
from ordergate.application.errors import WrongPassword
from ordergate.application.ports.audit import Audit, AuditEvent, Origin
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.storage import SeparateOrders
from ordergate.application.ports.tokens import Caller
from ordergate.application.ports.users import UserRepository
from ordergate.domain.session import SessionEndReason

LONGEST_REQUEST = timedelta(minutes=1)
"""The most time between the check of a token and the time at which its order is placed."""


@dataclass(frozen=True, slots=True)
class CloseAccount:
    """End the caller's sessions and erase their name and password.

    Their orders stay without a name. Orders in another store are asked first; they refuse further
    orders of the caller until the last access token has expired. If closing fails after that, the
    account stays open and places no order until then.

    Raises:
        AccountHasOpenOrders: an order is neither delivered nor cancelled.
        WrongPassword: the password is incorrect, or was changed meanwhile.
        Throttled, Overloaded, InvalidToken: as `Reauthenticate` raises them.
    """

    users: UserRepository
    reauthenticate: Reauthenticate
    clock: Clock
    audit: Audit
    separate_orders: SeparateOrders | None = None
    token_life: timedelta = timedelta()
    """How long an access token is accepted; matters with `separate_orders` alone."""

    async def __call__(self, password: str, *, caller: Caller, origin: Origin) -> None:
        user = caller.id
        ended = None
        for _ in range(CONFIRMATIONS):
            account = await self.reauthenticate(password, caller=caller, origin=origin)
            now = self.clock.now()
            if self.separate_orders:
                await self.separate_orders.refuse_orders(
                    user, until=now + self.token_life + LONGEST_REQUEST
                )
            ended = await self.users.close(user, password_hash=account.password_hash, at=now)
            if ended is not None:
                break
        if ended is None:
            raise WrongPassword
        record_ended(self.audit, ended, SessionEndReason.ACCOUNT_CLOSED, user=user, origin=origin)
        self.audit.record(AuditEvent.ACCOUNT_CLOSED, origin=origin, user=user)
