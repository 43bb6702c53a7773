"""Verification of JWT access tokens by RFC 8725 and RFC 9068."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Generic, TypeVar

from ordergate.adapters.tokens.claims import Claims
from ordergate.adapters.tokens.issuer_profiles import RFC_9068, IssuerProfile
from ordergate.adapters.tokens.jws import read_jws
from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.application.errors import InvalidToken
from ordergate.application.ports.clock import Clock

MAX_KNOWN_TOKENS = 10_000
"""The maximum of cached tokens; the oldest is removed first."""

MAX_KNOWN_SIZE = 33_554_432
"""The maximum of bytes that cached tokens take in memory, estimated; one of ours takes 1,300."""

_WORD_SIZE = 100
"""What a scope takes in memory more than in a payload, in bytes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _CacheEntry(Generic[T]):
    """The converted claims of a token, its validity and its size.

    The validity is in seconds since 1970.
    """

    made: T
    begins: float
    ends: float
    size: int


class JwtTokenVerifier(Generic[T]):
    """Accepts tokens of `issuer` for one of `audiences`, written as `profile` says.

    `make` converts the claims; it may raise `InvalidToken`. Clocks may differ by `leeway`. A token
    older than the optional `lifetime` counts as expired.

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
        audiences: Collection[str],
        leeway: timedelta,
        lifetime: timedelta = timedelta.max,
        profile: IssuerProfile = RFC_9068,
    ) -> None:
        self._make = make
        self._clock = clock
        self._issuer = issuer
        self._audiences = audiences
        self._leeway = leeway.total_seconds()
        self._lifetime = lifetime.total_seconds()
        self._profile = profile
        self._known: dict[bytes, _CacheEntry[T]] = {}
        self._known_with: KeySet | None = None
        self._known_size = 0

    def verify(self, token: str, keys: KeySet) -> T:
        """Check signature, type, times, issuer and audience.

        `InvalidToken` names the first mistake.
        """
        if keys is not self._known_with:
            self._known, self._known_with, self._known_size = {}, keys, 0
        now = self._clock.now().timestamp()
        digest = sha256(token.encode(errors="surrogatepass")).digest()
        known = self._known.get(digest)
        if known is None or not known.begins <= now < known.ends:
            known = self._read(token, keys, now)
            self._remember(digest, known)
        return known.made

    def recall(self, token: str, keys: KeySet) -> T | None:
        """Return what `verify` has cached for a valid token, else `None`."""
        if keys is not self._known_with:
            return None
        known = self._known.get(sha256(token.encode(errors="surrogatepass")).digest())
        if known is None or not known.begins <= self._clock.now().timestamp() < known.ends:
            return None
        return known.made

    def _remember(self, digest: bytes, entry: _CacheEntry[T]) -> None:
        if digest in self._known:
            self._known_size -= self._known.pop(digest).size
        self._known[digest] = entry
        self._known_size += entry.size
        while len(self._known) > MAX_KNOWN_TOKENS or self._known_size > MAX_KNOWN_SIZE:
            self._known_size -= self._known.pop(next(iter(self._known))).size

    def _read(self, token: str, keys: KeySet, now: float) -> _CacheEntry[T]:
        header, payload = read_jws(token, keys)
        claims = Claims.from_payload(payload, header.get("kid"))
        self._require_type(header)
        self._require_issuer(claims)
        self._profile.require_audience(claims.members, self._audiences)
        self._profile.require_access_token(claims.members)
        begins, ends = self._check_times(claims, now)
        return _CacheEntry(self._make(claims), begins, ends, _estimate_size(payload))

    def checks(
        self, header: Mapping[str, object], claims: Claims, now: float
    ) -> list[tuple[str, Callable[[], object]]]:
        """Return the checks of `verify` after the signature, each with its name.

        They raise `InvalidToken`.
        """
        members = claims.members
        return [
            ("typ", lambda: self._require_type(header)),
            ("iss", lambda: self._require_issuer(claims)),
            ("aud", lambda: self._profile.require_audience(members, self._audiences)),
            ("kind", lambda: self._profile.require_access_token(members)),
            ("times", lambda: self._check_times(claims, now)),
            ("subject", lambda: self._make(claims)),
        ]

    def _require_type(self, header: Mapping[str, object]) -> None:
        if str(header.get("typ", "")).lower() not in self._profile.types:
            raise InvalidToken("typ is not that of an access token of this issuer")

    def _require_issuer(self, claims: Claims) -> None:
        if claims.text("iss") != self._issuer:
            raise InvalidToken("iss is another issuer")

    def _check_times(self, claims: Claims, now: float) -> tuple[float, float]:
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


def _estimate_size(payload: bytes) -> int:
    """Estimate the memory of claims; commas and spaces end scopes."""
    return len(payload) + _WORD_SIZE * (payload.count(b",") + payload.count(b" "))
