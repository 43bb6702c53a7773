"""Verification of JWT access tokens by RFC 8725 and RFC 9068."""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Generic, TypeVar

from ordergate.adapters.tokens.jws import read_jws
from ordergate.adapters.tokens.keys.encoding import parse_json_object
from ordergate.adapters.tokens.keys.key_set import KeySet
from ordergate.adapters.tokens.verified_claims import VerifiedClaims
from ordergate.application.errors import InvalidToken
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.users import MAX_SUBJECT_LENGTH
from ordergate.domain.session import SessionId
from ordergate.domain.user import MAX_ID, UserId

ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
"""The `typ` of an access token (RFC 9068, section 2.1), in lower case."""

MAX_KNOWN_TOKENS = 10_000
"""The maximum of cached tokens; the oldest is removed first. An own token takes less than two
kilobytes, another issuer's as much as its payload."""

_NEVER_IN_SUBJECTS = frozenset({"Cc", "Cs"})
_SUBJECT = re.compile(r"[1-9][0-9]{0,18}")
_SESSION = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token. Each method may raise `InvalidToken`."""

    members: dict[str, object] = field(repr=False)
    payload: bytes = field(repr=False)

    def read_only(self) -> Mapping[str, object]:
        """Return all claims, for routes."""
        return VerifiedClaims(self.payload)

    def text(self, name: str) -> str:
        """Return a text claim."""
        value = self.members.get(name)
        if not isinstance(value, str) or not value:
            raise InvalidToken(f"{name} is missing or not text")
        return value

    def seconds(self, name: str) -> float:
        """Return a NumericDate claim (RFC 7519, section 2)."""
        value = self.members.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidToken(f"{name} is missing or not a number")
        try:
            seconds = float(value)
        except OverflowError:
            raise InvalidToken(f"{name} is not a valid time") from None
        if not math.isfinite(seconds):
            raise InvalidToken(f"{name} is not a valid time")
        return seconds

    def user_id(self) -> UserId:
        """Return `sub` as a user id."""
        subject = self.text("sub")
        if not _SUBJECT.fullmatch(subject) or int(subject) > MAX_ID:
            raise InvalidToken("sub is not a user id")
        return UserId(int(subject))

    def subject(self) -> str:
        """Return another issuer's `sub`: 1 to 255 characters without controls."""
        subject = self.text("sub")
        if len(subject) > MAX_SUBJECT_LENGTH:
            raise InvalidToken(f"sub has more than {MAX_SUBJECT_LENGTH} characters")
        if not _NEVER_IN_SUBJECTS.isdisjoint(map(unicodedata.category, subject)):
            raise InvalidToken("sub has invalid characters")
        return subject

    def scope(self) -> frozenset[str]:
        """Return the scopes (RFC 9068, section 2.2.3), also those that no route requires."""
        scope = self.members.get("scope", "")
        if not isinstance(scope, str):
            raise InvalidToken("scope is not text")
        return frozenset(scope.split())

    def session(self) -> SessionId | None:
        """Return `sid`, if present."""
        if "sid" not in self.members:
            return None
        session = self.text("sid")
        if not _SESSION.fullmatch(session):
            raise InvalidToken("sid is not a session id")
        return SessionId(session)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _CacheEntry(Generic[T]):
    """The converted claims of a token, and its validity in seconds since 1970."""

    made: T
    begins: float
    ends: float


class JwtTokenVerifier(Generic[T]):
    """Accepts tokens of `issuer` for `audience` with a `typ` in `types`.

    `make` converts the claims; it may raise `InvalidToken`. Clocks may differ by `leeway`. A token
    older than the optional `lifetime` counts as expired. Types are in lower case; "" is a missing
    `typ`.

    The converted claims are cached by the SHA-256 of the token while the key set is the same
    object, because verifying a signature costs more than the rest of a request. Times are checked
    for every request.
    """

    def __init__(
        self,
        make: Callable[[Claims], T],
        *,
        clock: Clock,
        issuer: str,
        audience: str,
        leeway: timedelta,
        lifetime: timedelta = timedelta.max,
        types: frozenset[str] = ACCESS_TOKEN_TYPES,
    ) -> None:
        self._make = make
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway.total_seconds()
        self._lifetime = lifetime.total_seconds()
        self._types = types
        self._known: dict[bytes, _CacheEntry[T]] = {}
        self._known_with: KeySet | None = None

    def verify(self, token: str, keys: KeySet) -> T:
        """Check signature, type, times, issuer and audience.

        `InvalidToken` names the first mistake.
        """
        if keys is not self._known_with:
            self._known, self._known_with = {}, keys
        now = self._clock.now().timestamp()
        digest = sha256(token.encode(errors="surrogatepass")).digest()
        known = self._known.get(digest)
        if known is None or not known.begins <= now < known.ends:
            known = self._read(token, keys, now)
            if len(self._known) >= MAX_KNOWN_TOKENS:
                del self._known[next(iter(self._known))]
            self._known[digest] = known
        return known.made

    def _read(self, token: str, keys: KeySet, now: float) -> _CacheEntry[T]:
        header, payload = read_jws(token, keys)
        if str(header.get("typ", "")).lower() not in self._types:
            raise InvalidToken("typ is not at+jwt")
        try:
            claims = Claims(parse_json_object(payload), payload)
        except ValueError:
            raise InvalidToken("the claims are not a JSON object") from None
        begins, ends = self._times(claims, now)
        if claims.text("iss") != self._issuer:
            raise InvalidToken("iss is another issuer")
        audience = claims.members.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise InvalidToken("aud is another audience")
        return _CacheEntry(self._make(claims), begins, ends)

    def _times(self, claims: Claims, now: float) -> tuple[float, float]:
        expires, issued = claims.seconds("exp") + self._leeway, claims.seconds("iat")
        if expires <= now:
            raise InvalidToken("exp has passed")
        begins = []
        for claim in ("iat", "nbf") if "nbf" in claims.members else ("iat",):
            begins.append(claims.seconds(claim) - self._leeway)
            if begins[-1] > now:
                raise InvalidToken(f"{claim} is in the future")
        outlived = issued + self._lifetime + self._leeway
        if outlived <= now:
            raise InvalidToken("older than the lifetime of tokens")
        return max(begins), min(expires, outlived)
