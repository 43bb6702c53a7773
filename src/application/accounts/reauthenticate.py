"""Ask for the password before something that cannot be taken back."""

from dataclasses import dataclass
from functools import partial

from ordergate.application.accounts.get_account import GetAccount
from ordergate.application.auditing import recording_throttled
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

ATTEMPTS = 2
"""How often a password is confirmed where what it is for finds another hash.

A sign-in may replace a weak hash at that moment, and once: the second time, the password changed.
"""


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """Return the user's account if the password is theirs.

    A stolen token must not become a way to guess: wrong guesses are counted like failed sign-ins,
    but for the session that makes them, so that nobody without its token can shut this for its
    owner, and nobody with it can shut the sign-in.
    Raises `WrongPassword`, `Throttled`, `Overloaded`, and `InvalidToken` for a closed account.
    """

    users: UserRepository
    hasher: PasswordHasher
    throttle: Throttle
    audit: Audit

    async def __call__(self, password: str, *, caller: Caller, origin: Origin) -> User:
        user, account = caller.id, await GetAccount(self.users)(user=caller.id)
        event = AuditEvent.SIGN_IN_THROTTLED
        with recording_throttled(self.audit, event, origin=origin, user=user):
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
        requester = Requester.at(origin.address, account.username.value, known=True)
        return await self.hasher.verify(guess, account.password_hash, requester)
