"""Identify the caller of an access token."""

from dataclasses import dataclass

from ordergate.application.ports.tokens import Caller, TokenVerifier
from ordergate.application.sessions.revocation import RevocationPolicy


@dataclass(frozen=True, slots=True)
class IdentifyCaller:
    """Return the caller of an access token.

    Raises:
        InvalidToken: the token is invalid, or its session has ended and `revocation` refuses it.
        IssuerKeysUnavailable: the keys cannot be fetched.
        StorageUnavailable: ended sessions cannot be queried.
    """

    tokens: TokenVerifier
    revocation: RevocationPolicy

    async def __call__(self, token: str) -> Caller:
        caller = await self.tokens.verify(token)
        await self.revocation.check(caller)
        return caller
