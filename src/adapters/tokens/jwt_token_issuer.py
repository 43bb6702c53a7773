"""Access tokens as JWTs: RFC 9068 says what is in them, RFC 8725 how they are verified."""

import math
import re
import uuid
from datetime import timedelta

import jwt

from adapters.tokens.encoding import parse_json_object
from adapters.tokens.jws import read_jws
from adapters.tokens.signing_key import SigningKey
from application.errors import InvalidToken
from application.ports import AccessToken, Caller, Clock, TokenIssuer
from domain.user import MAX_ID, UserId

_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_SUBJECT = re.compile(r"[1-9][0-9]{0,18}")


class JwtTokenIssuer(TokenIssuer):
    """Signs with one key, and believes only what that key signed.

    `issuer` and `audience` are the `iss` and `aud` written and required; a token lives `lifetime`,
    and clocks may differ by `leeway`. `sub` is the user's id as a decimal.
    """

    def __init__(
        self,
        *,
        key: SigningKey,
        clock: Clock,
        issuer: str,
        audience: str,
        lifetime: timedelta,
        leeway: timedelta,
    ) -> None:
        self._key = key
        self._keys = key.verifying()
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self._lifetime = int(lifetime.total_seconds())
        self._leeway = leeway.total_seconds()
        self._header = {"typ": "at+jwt"} | ({"kid": key.kid} if key.kid else {})

    def issue(self, caller: Caller) -> AccessToken:
        """Sign the claims of RFC 9068, section 2.2, with a `jti` of 122 random bits."""
        now = int(self._clock.now().timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(caller.id),
            "client_id": caller.client_id,
            "iat": now,
            "exp": now + self._lifetime,
            "jti": uuid.uuid4().hex,
        }
        token = jwt.encode(claims, self._key.key, self._key.algorithm, headers=self._header)
        return AccessToken(token, self._lifetime)

    def verify(self, token: str) -> Caller:
        """Check signature, type and every claim; `InvalidToken` names the first flaw."""
        header, payload = read_jws(token, self._keys)
        if str(header.get("typ")).lower() not in _TYPES:
            raise InvalidToken("typ is not at+jwt")
        try:
            claims = parse_json_object(payload)
        except ValueError:
            raise InvalidToken("the claims are no JSON object") from None
        now = self._clock.now().timestamp()
        if _seconds(claims, "exp") <= now - self._leeway:
            raise InvalidToken("exp has passed")
        for claim in ("iat", "nbf") if "nbf" in claims else ("iat",):
            if _seconds(claims, claim) > now + self._leeway:
                raise InvalidToken(f"{claim} is in the future")
        if _text(claims, "iss") != self._issuer:
            raise InvalidToken("iss is another issuer")
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise InvalidToken("aud is another audience")
        _text(claims, "jti")
        return Caller(_user_id(_text(claims, "sub")), _text(claims, "client_id"))


def _seconds(claims: dict[str, object], name: str) -> float:
    """Read a NumericDate (RFC 7519, section 2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken(f"{name} is missing or not a number")
    try:
        seconds = float(value)
    except OverflowError:
        raise InvalidToken(f"{name} is no time") from None
    if not math.isfinite(seconds):
        raise InvalidToken(f"{name} is no time")
    return seconds


def _text(claims: dict[str, object], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidToken(f"{name} is missing or not text")
    return value


def _user_id(subject: str) -> UserId:
    if not _SUBJECT.fullmatch(subject) or int(subject) > MAX_ID:
        raise InvalidToken("sub is no user id")
    return UserId(int(subject))
