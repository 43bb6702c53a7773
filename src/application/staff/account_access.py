"""Disable and enable an account, as staff."""

from dataclasses import dataclass

from ordergate.application.errors import AccountChanged
from ordergate.application.ports.audit import Audit, AuditEvent
from ordergate.application.ports.users import UserRepository
from ordergate.application.staff.replace_hash import ReplaceHash
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import User


@dataclass(frozen=True, slots=True)
class DisableAccount:
    """Refuse an account's passwords and end its sessions in one step.

    Its data and its password stay. Nothing happens if it is disabled already. Raises
    `AccountChanged` if the account was changed at the same time.
    """

    replace_hash: ReplaceHash

    async def __call__(self, account: User) -> None:
        if not account.is_disabled:
            await self.replace_hash(
                account,
                account.disabled(),
                event=AuditEvent.ACCOUNT_DISABLED,
                reason=SessionEndReason.ACCOUNT_DISABLED,
            )


@dataclass(frozen=True, slots=True)
class EnableAccount:
    """Accept the password of a disabled account again.

    Nothing happens if it is enabled. Raises `AccountChanged` if the account was changed at the same
    time.
    """

    users: UserRepository
    audit: Audit

    async def __call__(self, account: User) -> None:
        if not account.is_disabled:
            return
        old, new = account.password_hash, account.enabled().password_hash
        if not await self.users.replace_password_hash(account.id, old=old, new=new):
            raise AccountChanged
        self.audit.record(AuditEvent.ACCOUNT_ENABLED, user=account.id)
