"""Revoke a token."""

from dataclasses import dataclass

from ordergate.application.auditing import record_ended
from ordergate.application.errors import InvalidGrant, InvalidToken, UnsupportedTokenType
from ordergate.application.ports.audit import Audit, Origin
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.sessions import SessionRepository
from ordergate.application.ports.tokens import TokenIssuer
from ordergate.domain.refresh_token import RefreshToken
from ordergate.domain.session import SessionEndReason, SessionId
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class RevokeToken:
    """End the session of a refresh or an access token (RFC 7009).

    An unknown token is accepted. Raises `InvalidGrant` for a token of another client (section 2.1),
    and `UnsupportedTokenType` for an access token if `revocable` is false.
    """

    sessions: SessionRepository
    tokens: TokenIssuer
    clock: Clock
    audit: Audit
    revocable: bool

    async def __call__(self, token: str, *, client_id: str | None, origin: Origin) -> None:
        refresh = RefreshToken.parse(token)
        if refresh is not None:
            session = await self.sessions.get_by_refresh_token(refresh.digest)
            if session is not None:
                await self._end(session.id, session.user, origin, client_id, session.client_id)
            return
        try:
            caller = await self.tokens.verify(token)
        except InvalidToken:
            return
        if not self.revocable:
            raise UnsupportedTokenType
        if caller.session is not None:
            await self._end(caller.session, caller.id, origin, client_id, caller.client_id)

    async def _end(
        self, session: SessionId, user: UserId, origin: Origin, asking: str | None, owner: str
    ) -> None:
        if asking not in {None, owner}:
            raise InvalidGrant
        reason, now = SessionEndReason.REVOKED, self.clock.now()
        if await self.sessions.end(session, user=user, reason=reason, at=now):
            record_ended(self.audit, [session], reason, user=user, origin=origin)
