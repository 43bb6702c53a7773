"""Register a user."""

from dataclasses import dataclass

from ordergate.application.auditing import record_throttled
from ordergate.application.ports.audit import Audit, AuditEvent, Origin
from ordergate.application.ports.passwords import PasswordHasher, Requester, Throttle
from ordergate.application.ports.users import UserRepository
from ordergate.domain.password_rules import PasswordRules
from ordergate.domain.user import Password, User, Username


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """Create an account and return it.

    A taken name costs the same work as a free one, and counts for the same limit of its `origin`.

    Raises:
        InvalidUsername, InvalidPassword: the text is not valid.
        WeakPassword: the password breaks a rule.
        UsernameTaken: another account has the name.
        Throttled: too many registrations came from the origin.
        Overloaded: the hashing queue is full.
    """

    users: UserRepository
    hasher: PasswordHasher
    rules: PasswordRules
    throttle: Throttle
    audit: Audit

    async def __call__(self, username: str, password: str, *, origin: Origin | None = None) -> User:
        name, secret = Username.new(username), Password.new(password)
        self.rules.check(secret, name)
        requester = None
        if origin is not None:
            with record_throttled(self.audit, AuditEvent.SIGN_UP_THROTTLED, origin=origin):
                await self.throttle.count_sign_up(origin.address)
            requester = Requester.from_client(origin.address, name.value, known=False)
        user = await self.users.add(name, await self.hasher.hash(secret, requester))
        self.audit.record(AuditEvent.ACCOUNT_OPENED, origin=origin, user=user.id)
        return user
