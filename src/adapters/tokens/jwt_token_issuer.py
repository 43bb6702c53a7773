"""Access tokens of this service: JWTs with the claims of RFC 9068."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

import jwt

from ordergate.adapters.tokens.claims import Claims
from ordergate.adapters.tokens.explanation import Explanation
from ordergate.adapters.tokens.jwt_token_verifier import JwtTokenVerifier
from ordergate.adapters.tokens.keys.key_source import KeySource
from ordergate.adapters.tokens.unverified import name_token
from ordergate.application.errors import InvalidToken
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.tokens import (
    AccessToken,
    Caller,
    TokenCheck,
    TokenExplainer,
    TokenIssuer,
)


class JwtTokenIssuer(TokenIssuer, TokenExplainer):
    """Signs with the current key, and accepts only tokens of this service.

    `issuer` and `audience` are the written and required `iss` and `aud`. A token expires after
    `lifetime`, and clocks may differ by `leeway`. `sub` is the user's id as a decimal, `sid` the
    session. The constructor raises the errors of unreadable `keys`.
    """

    def __init__(
        self,
        *,
        keys: KeySource,
        clock: Clock,
        issuer: str,
        audience: str,
        lifetime: timedelta,
        leeway: timedelta,
    ) -> None:
        keys.signing()
        self._keys = keys
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self._lifetime = int(lifetime.total_seconds())
        self._verifier = JwtTokenVerifier(
            _read_caller,
            clock=clock,
            issuer=issuer,
            audiences=frozenset({audience}),
            leeway=leeway,
            # Ended sessions are cached for this lifetime only, even if it was longer before.
            lifetime=lifetime,
        )

    def issue(self, caller: Caller, *, until: datetime | None = None) -> AccessToken:
        """Sign the claims of RFC 9068, section 2.2.

        The `jti` has 122 random bits.
        """
        now = int(self._clock.now().timestamp())
        expires = now + self._lifetime
        if until is not None:
            expires = min(expires, int(until.timestamp()))
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(caller.id),
            "client_id": caller.client_id,
            "iat": now,
            "exp": expires,
            "jti": uuid.uuid4().hex,
        }
        # An empty text is no scope (RFC 6749, section 3.3), and Authlib refuses it.
        if caller.scope:
            claims["scope"] = " ".join(sorted(caller.scope))
        if caller.session is not None:
            claims["sid"] = caller.session
        key = self._keys.signing()
        header = {"typ": "at+jwt", "kid": key.kid}
        token = jwt.encode(claims, key.key, key.algorithm, headers=header)
        return AccessToken(token, expires - now)

    async def verify(self, token: str) -> Caller:
        """Check signature, type and every claim; `InvalidToken` names the first mistake."""
        keys = self._keys.verifying()
        try:
            return self._verifier.verify(token, keys)
        except InvalidToken as error:
            # Another process may have signed it with a key that this one has not read yet.
            newest = self._keys.verifying(newest=True)
            if newest is keys:
                raise name_token(error, token) from None
        try:
            return self._verifier.verify(token, newest)
        except InvalidToken as error:
            raise name_token(error, token) from None

    async def explain(self, token: str) -> Sequence[TokenCheck]:
        """Run every check; whether the session has ended is another matter."""
        explanation = Explanation()
        if parts := explanation.read(token):
            header, payload = parts
            explanation.check_signature(token, header, self._keys.verifying(newest=True))
            now = self._clock.now().timestamp()
            explanation.check_claims(header, payload, self._verifier, Claims.scope, now)
        return explanation.checks


def _read_caller(claims: Claims) -> Caller:
    claims.text("jti")
    return Caller(
        claims.user_id(),
        claims.text("client_id"),
        claims.scope(),
        claims.session(),
        claims.read_only(),
        claims.key_id,
    )
