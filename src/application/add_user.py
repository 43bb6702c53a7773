"""Open an account."""

from dataclasses import dataclass

from application.ports import PasswordHasher, UserRepository
from domain.user import Password, User, Username


@dataclass(frozen=True, slots=True)
class AddUser:
    """Open an account and return it.

    Raises `InvalidUsername`, `InvalidPassword`, `UsernameTaken`, and `Overloaded` when too much
    hashing waits.
    """

    users: UserRepository
    hasher: PasswordHasher

    async def __call__(self, username: str, password: str) -> User:
        name, secret = Username(username), Password(password)
        return await self.users.add(name, await self.hasher.hash(secret))
