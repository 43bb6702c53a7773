"""Sign in with a user name and a password."""

from contextlib import suppress
from dataclasses import dataclass

from application.errors import InvalidCredentials, StorageUnavailable
from application.ports import AccessToken, Caller, PasswordHasher, TokenIssuer, UserRepository
from domain.errors import InvalidPassword, InvalidUsername
from domain.user import Password, User, Username

_NOBODY = Password("nobody's password")


@dataclass(frozen=True, slots=True)
class AuthenticateUser:
    """Turn a user name and a password into an access token.

    Raises `InvalidCredentials` whichever of the two is wrong, after the same work: an unknown name,
    or text that cannot be a name or a password, costs one hash like a wrong password. Raises
    `Overloaded` when too many sign-ins wait. A hash weaker than new ones is replaced on the way
    if it can be.
    """

    users: UserRepository
    hasher: PasswordHasher
    tokens: TokenIssuer

    async def __call__(self, username: str, password: str, *, client_id: str) -> AccessToken:
        user = await self._find(username)
        try:
            guess = Password(password)
        except InvalidPassword:
            guess, user = _NOBODY, None
        verification = await self.hasher.verify(guess, user.password_hash if user else None)
        if user is None or not verification.matches:
            raise InvalidCredentials
        if verification.upgraded is not None:
            with suppress(StorageUnavailable):  # it can wait for the next sign-in
                await self.users.replace_password_hash(
                    user.id, old=user.password_hash, new=verification.upgraded
                )
        return self.tokens.issue(Caller(user.id, client_id))

    async def _find(self, username: str) -> User | None:
        try:
            name = Username(username)
        except InvalidUsername:
            return None
        return await self.users.find(name)
