"""Ask for the password again before a sensitive change."""

from dataclasses import dataclass
from functools import partial

from ordergate.application.accounts.get_account import GetAccount
from ordergate.application.auditing import record_throttled
from ordergate.application.errors import WrongPassword
from ordergate.application.ports.audit import Audit, AuditEvent, Origin
from ordergate.application.ports.passwords import (
    PasswordHasher,
    Requester,
    SessionKey,
    Throttle,
    Verification,
)
from ordergate.application.ports.tokens import Caller
from ordergate.application.ports.users import UserRepository
from ordergate.domain.errors import InvalidPassword
from ordergate.domain.user import Password, User

CONFIRMATIONS = 2
"""How often a change confirms the password when the stored hash changes meanwhile.

A sign-in may replace a weak hash once. If the hash changes twice, the password was changed.
"""


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """Return the user's account if the password is correct.

    Wrong passwords are counted, because a stolen token must not allow guessing. They count for the
    session, so they block neither the sign-in nor the user's other sessions.

    Raises:
        WrongPassword: the password is incorrect.
        Throttled: the session has too many wrong passwords.
        Overloaded: the hashing queue is full.
        InvalidToken: the account is closed.
    """

    users: UserRepository
    hasher: PasswordHasher
    throttle: Throttle
    audit: Audit

    async def __call__(self, password: str, *, caller: Caller, origin: Origin) -> User:
        user, account = caller.id, await GetAccount(self.users)(user=caller.id)
        event = AuditEvent.SIGN_IN_THROTTLED
        with record_throttled(self.audit, event, origin=origin, user=user):
            verification = await self.throttle.guard(
                SessionKey(user, caller.session),
                origin.address,
                partial(self._verify, password, account, origin),
                familiar=False,
            )
        if not verification.matches:
            self.audit.record(
                AuditEvent.SIGN_IN_REFUSED, origin=origin, user=user, detail="confirmation"
            )
            raise WrongPassword
        return account

    async def _verify(self, password: str, account: User, origin: Origin) -> Verification:
        try:
            guess = Password.guess(password)
        except InvalidPassword:
            return Verification(matches=False)
        requester = Requester.from_client(origin.address, account.username.value, known=True)
        return await self.hasher.verify(guess, account.password_hash, requester)
