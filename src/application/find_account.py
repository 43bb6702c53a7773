"""Find the account of a user name that somebody typed."""

from ordergate.application.ports.users import UserRepository
from ordergate.domain.user import User, Username


async def find_account(users: UserRepository, typed: str) -> User | None:
    """Return the account that is stored under a spelling of the text, the text itself first.

    All spellings are looked up, so that the time does not depend on which of them exists.
    """
    found = [await users.find(name) for name in Username.spellings(typed)]
    return next((user for user in found if user is not None), None)
