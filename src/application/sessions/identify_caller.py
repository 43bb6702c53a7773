"""Say who a bearer token stands for."""

from dataclasses import dataclass

from ordergate.application.ports.tokens import Caller, TokenVerifier
from ordergate.application.sessions.revocation import RevocationPolicy


@dataclass(frozen=True, slots=True)
class IdentifyCaller:
    """Return the caller of an access token.

    Raises `InvalidToken` for one that cannot be trusted or whose session has ended, as soon as
    `revocation` promises; `IssuerKeysUnavailable` and `StorageUnavailable` where that cannot be
    known.
    """

    tokens: TokenVerifier
    revocation: RevocationPolicy

    async def __call__(self, token: str) -> Caller:
        caller = await self.tokens.verify(token)
        await self.revocation.check(caller)
        return caller
