"""Find the account of a typed user name."""

from ordergate.application.ports.users import UserRepository
from ordergate.domain.user import User, Username


async def find_account(users: UserRepository, typed: str) -> User | None:
    """Return the account of a spelling of the typed text.

    The text itself has priority. All spellings are looked up, so the time does not depend on which
    of them exists.
    """
    found = [await users.find(name) for name in Username.list_spellings(typed)]
    return next((user for user in found if user is not None), None)
