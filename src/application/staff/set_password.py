"""Set a user's password, as staff."""

from dataclasses import dataclass, replace

from ordergate.application.ports.audit import AuditEvent
from ordergate.application.ports.passwords import PasswordHasher
from ordergate.application.staff.replace_hash import ReplaceHash
from ordergate.domain.password_rules import PasswordRules
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import Password, User


@dataclass(frozen=True, slots=True)
class SetPassword:
    """Replace a user's password and end all their sessions in one step.

    A disabled account stays disabled.

    Raises:
        InvalidPassword: the password is not valid text.
        WeakPassword: the password breaks a rule.
        AccountChanged: the account was changed at the same time.
    """

    hasher: PasswordHasher
    rules: PasswordRules
    replace_hash: ReplaceHash

    async def __call__(self, account: User, password: str) -> None:
        secret = Password.new(password)
        self.rules.check(secret, account.username)
        new = replace(account, password_hash=await self.hasher.hash(secret))
        await self.replace_hash(
            account,
            new.disabled() if account.is_disabled else new,
            event=AuditEvent.PASSWORD_SET,
            reason=SessionEndReason.PASSWORD_CHANGED,
        )
