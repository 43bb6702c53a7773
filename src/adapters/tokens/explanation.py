"""What each check makes of a token, for its operator."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ordergate.adapters.tokens.claims import Claims
from ordergate.adapters.tokens.jws import read_jws, split_token
from ordergate.adapters.tokens.jwt_token_verifier import JwtTokenVerifier
from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.application.errors import InvalidToken
from ordergate.application.ports.tokens import TokenCheck

_MAX_LENGTH = 200
"""The maximum of shown characters of a value."""

_LAST_SECOND = 253_402_300_799
"""The last second of the year 9999, in seconds since 1970; no later time has a date."""


@dataclass(slots=True)
class Explanation:
    """Runs every check in turn, also after a failure.

    The result never has the token.
    """

    checks: list[TokenCheck] = field(default_factory=list)

    def add(self, name: str, found: str, failure: str | None = None) -> None:
        """Add a check: what it found, and why it failed."""
        self.checks.append(TokenCheck(name, found, failure))

    def run(self, name: str, found: str, check: Callable[[], object]) -> None:
        """Add a check that raises `InvalidToken` if it fails."""
        try:
            check()
        except InvalidToken as error:
            self.add(name, found, str(error))
        else:
            self.add(name, found)

    def read(self, token: str) -> tuple[Mapping[str, object], bytes] | None:
        """Read the header and the payload of a token, without its signature."""
        try:
            parts = split_token(token)
        except InvalidToken as error:
            self.add("form", f"{len(token)} characters", str(error))
            return None
        self.add("form", f"a signed token of {len(token)} characters")
        return parts.header, parts.payload

    def check_signature(self, token: str, header: Mapping[str, object], keys: KeySet) -> None:
        """Check the signature with the keys of the issuer."""
        known = ", ".join(
            f"{quote(key.kid)} ({' or '.join(sorted(key.algorithms))})" for key in keys.keys
        )
        self.add("keys", known or "none is usable", None if keys.keys else "no key is usable")
        for refused in keys.refused:
            self.add("left out", refused)
        names = [f"{name} {quote(header[name])}" for name in ("alg", "kid") if name in header]
        self.run("signature", ", ".join(names), lambda: read_jws(token, keys))

    def check_claims(
        self,
        header: Mapping[str, object],
        payload: bytes,
        verifier: JwtTokenVerifier[Any],
        scope: Callable[[Claims], frozenset[str]],
        now: float,
    ) -> None:
        """Check the type and every claim."""
        try:
            claims = Claims.from_payload(payload)
        except InvalidToken as error:
            self.add("claims", f"{len(payload)} bytes", str(error))
            return
        found = {
            "typ": quote(header.get("typ", "")),
            "iss": quote(claims.members.get("iss")),
            "aud": quote(claims.members.get("aud", claims.members.get("client_id"))),
            "kind": f"claims {_list_words(claims.members)}",
            "times": _describe_times(claims.members, now),
            "subject": quote(claims.members.get("sub")),
        }
        for name, check in verifier.checks(header, claims, now):
            self.run(name, found[name], check)
        try:
            self.add("scope", _list_words(scope(claims)))
        except InvalidToken as error:
            self.add("scope", "none", str(error))


def quote(value: object) -> str:
    """Return a value of an unverified token in printable characters, shortened."""
    text = repr(value)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"


def _list_words(words: Iterable[str]) -> str:
    text = " ".join(word if word.isprintable() else repr(word) for word in sorted(words))
    return (text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…") or "none"


def _describe_times(claims: Mapping[str, object], now: float) -> str:
    words = []
    for name in ("iat", "nbf", "exp"):
        value = claims.get(name)
        if isinstance(value, int | float) and 0 <= value <= _LAST_SECOND:
            moment = datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
            words.append(f"{name} {moment} ({value - now:+.0f} s)")
        elif name in claims:
            words.append(f"{name} {quote(value)}")
    return ", ".join(words)
