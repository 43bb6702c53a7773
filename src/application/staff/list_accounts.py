"""List accounts, as staff."""

from collections.abc import Sequence
from dataclasses import dataclass

from ordergate.application.ports.users import UserRepository
from ordergate.domain.user import User, UserId


@dataclass(frozen=True, slots=True)
class ListAccounts:
    """Return up to `limit` accounts with ids above `after`, by id.

    Closed and external accounts have no name, and are left out.
    """

    users: UserRepository

    async def __call__(self, *, after: UserId, limit: int) -> Sequence[User]:
        return await self.users.list_accounts(after=after, limit=limit)
