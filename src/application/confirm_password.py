"""Ask for the password before something that cannot be taken back."""

from dataclasses import dataclass

from application.errors import Throttled, WrongPassword
from application.get_account import GetAccount
from application.ports import (
    Audit,
    AuditEvent,
    Origin,
    PasswordHasher,
    SessionRepository,
    Throttle,
    UserRepository,
)
from domain.errors import InvalidPassword
from domain.user import Password, User, UserId

ATTEMPTS = 2
"""How often a password is confirmed where what it is for finds another hash.

A sign-in may replace a weak hash at that moment, and once: the second time, the password changed.
"""


@dataclass(frozen=True, slots=True)
class ConfirmPassword:
    """Return the user's account if the password is theirs.

    A stolen token must not become a way to guess: wrong guesses are counted like failed sign-ins.
    Raises `WrongPassword`, `Throttled`, `Overloaded`, and `InvalidToken` for a closed account.
    """

    users: UserRepository
    sessions: SessionRepository
    hasher: PasswordHasher
    throttle: Throttle
    audit: Audit

    async def __call__(self, password: str, *, user: UserId, origin: Origin) -> User:
        account = await GetAccount(self.users)(user=user)
        familiar = await self.sessions.is_familiar(user, origin.address)
        name = account.username.value
        try:
            async with self.throttle.attempt(name, origin.address, familiar=familiar) as attempt:
                attempt.matched = await self._matches(password, account)
        except Throttled:
            self.audit.record(AuditEvent.SIGN_IN_THROTTLED, origin=origin, user=user)
            raise
        if not attempt.matched:
            self.audit.record(
                AuditEvent.SIGN_IN_REFUSED, origin=origin, user=user, detail="confirmation"
            )
            raise WrongPassword
        return account

    async def _matches(self, password: str, account: User) -> bool:
        try:
            guess = Password(password)
        except InvalidPassword:
            return False
        return (await self.hasher.verify(guess, account.password_hash)).matches
