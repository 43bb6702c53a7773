"""Show the caller's account."""

from dataclasses import dataclass

from ordergate.application.errors import InvalidToken
from ordergate.application.ports.users import UserRepository
from ordergate.domain.user import User, UserId


@dataclass(frozen=True, slots=True)
class GetAccount:
    """Return the user's account. Raises `InvalidToken` when it is closed."""

    users: UserRepository

    async def __call__(self, *, user: UserId) -> User:
        account = await self.users.get(user)
        if account is None:
            raise InvalidToken("its account is closed")
        return account
