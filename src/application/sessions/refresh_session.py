"""Renew the tokens of a session."""

from collections.abc import Collection
from dataclasses import dataclass, field

from ordergate.application.concurrency_limit import ConcurrencyLimit, make_write_limit
from ordergate.application.errors import ApplicationError, InvalidGrant, InvalidScope
from ordergate.application.ports.audit import Audit, AuditEvent, Origin
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.sessions import RotationOutcome, SessionRepository, TokenExchange
from ordergate.application.ports.tokens import Caller, TokenIssuer
from ordergate.application.sessions.authenticate_user import IssuedTokens
from ordergate.domain.refresh_token import RefreshToken
from ordergate.domain.session import SessionEndReason, SessionRules

MAX_SUCCESSORS = 16
"""The maximum length of a chain of successors of a repeated token.

Two tabs that refresh together are one or two tokens apart. Only a client that refreshes without
pause has a longer chain, and each of its repeats would read the whole chain.
"""


@dataclass(frozen=True, slots=True)
class RefreshSession:
    """Exchange a refresh token for new tokens (RFC 6749, section 6).

    A client may repeat a token within the grace time. It gets the same successor, or the newest
    token of the chain if that successor is used. A client that lost a response, or has two tabs,
    stays signed in. Later reuse ends the session, because one of two clients has stolen the token
    (RFC 9700, section 4.14.2). A narrower scope applies to the access token only. The session may
    have a scope that is not in `scopes`, those of this release; tokens omit it.

    Raises:
        InvalidGrant: the token is not valid, was reused, is another client's, or more than
        `MAX_SUCCESSORS` refreshes followed it.
        InvalidScope: the scope exceeds that of the session.
        TooManyRequests: the user exceeds `concurrency_limit`.
    """

    sessions: SessionRepository
    tokens: TokenIssuer
    clock: Clock
    audit: Audit
    rules: SessionRules
    scopes: Collection[str]
    concurrency_limit: ConcurrencyLimit = field(default_factory=make_write_limit)

    async def __call__(
        self,
        refresh_token: str,
        *,
        client_id: str | None,
        scope: frozenset[str] | None,
        origin: Origin,
    ) -> IssuedTokens:
        old = RefreshToken.parse(refresh_token)
        session = await self.sessions.get_by_refresh_token(old.digest) if old else None
        if old is None or session is None:
            self.audit.record(AuditEvent.REFRESH_REFUSED, origin=origin)
            raise InvalidGrant

        def record(event: AuditEvent, detail: str = "") -> None:
            self.audit.record(
                event, origin=origin, user=session.user, session=session.id, detail=detail
            )

        known = session.scope.intersection(self.scopes)
        granted = known if scope is None else scope
        refusal: tuple[ApplicationError, str] | None = None
        if client_id not in {None, session.client_id}:
            refusal = InvalidGrant(), "another client"
        elif not granted or not granted <= known:
            refusal = InvalidScope(known), "more scope"
        # `rotate` ends the session of a reused token, also for a request that is refused anyway.
        if refusal and not await self.sessions.is_used(old.digest):
            error, detail = refusal
            record(AuditEvent.REFRESH_REFUSED, detail)
            raise error
        now = self.clock.now()
        new = RefreshToken.new()
        async with self.concurrency_limit.acquire(session.user):
            rotation = await self.sessions.rotate(
                TokenExchange(
                    old.digest,
                    new.digest,
                    sealed=old.seal(new),
                    at=now,
                    expires_at=now + self.rules.idle,
                    grace=self.rules.grace,
                )
            )
        if rotation.outcome is RotationOutcome.REUSED:
            record(AuditEvent.REUSE_SEEN)
            record(AuditEvent.SESSION_ENDED, SessionEndReason.REUSE.value)
        if rotation.sealed is None or refusal:
            record(AuditEvent.REFRESH_REFUSED, rotation.outcome.value)
            raise InvalidGrant
        newest = (
            new
            if rotation.outcome is RotationOutcome.ROTATED
            else await self._find_newest(old.unseal(rotation.sealed))
        )
        if newest is None:
            record(AuditEvent.REFRESH_REFUSED, "too many refreshes since")
            raise InvalidGrant
        record(AuditEvent.REFRESHED, rotation.outcome.value)
        caller = Caller(session.user, session.client_id, granted, session.id)
        access = self.tokens.issue(caller, until=session.expires_at)
        return IssuedTokens(access, newest, granted)

    async def _find_newest(self, token: RefreshToken) -> RefreshToken | None:
        """Return the last successor in a chain within the grace time.

        A client that received a used token would end its session at the next refresh. Returns
        `None` for a chain of more than `MAX_SUCCESSORS`.
        """
        for _ in range(MAX_SUCCESSORS):
            sealed = await self.sessions.sealed_successor(token.digest)
            if sealed is None:
                return token
            token = token.unseal(sealed)
        return None
