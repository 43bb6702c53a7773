"""Doubles for use-case tests: small, and held to the same contracts as the real adapters."""

import secrets
from datetime import UTC, datetime, timedelta

from application.errors import InvalidToken
from application.ports import (
    AccessToken,
    Caller,
    Clock,
    PasswordHasher,
    TokenIssuer,
    Verification,
)
from domain.user import Password, PasswordHash


class SettableClock(Clock):
    """Time stands still until a test moves it."""

    def __init__(self, now: datetime = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, **by: float) -> None:
        self._now += timedelta(**by)


class InstantPasswordHasher(PasswordHasher):
    """Writes a hash as `work$salt$password`; hashes of less `work` are due for an upgrade.

    `verified` lists what was compared, `None` for nobody's hash, so that a test can see that an
    unknown account cost the same work.
    """

    def __init__(self, work: int = 2) -> None:
        self._work = work
        self.verified: list[PasswordHash | None] = []

    async def hash(self, password: Password) -> PasswordHash:
        return PasswordHash(f"{self._work}${secrets.token_hex(8)}${password.secret}")

    async def verify(self, password: Password, stored: PasswordHash | None) -> Verification:
        self.verified.append(stored)
        work, _, rest = (stored or "").partition("$")
        _, dollar, secret = rest.partition("$")
        if not dollar or secret != password.secret:
            return Verification(matches=False)
        due = int(work) < self._work
        return Verification(matches=True, upgraded=await self.hash(password) if due else None)


class TableTokenIssuer(TokenIssuer):
    """Tokens are random words in a table."""

    def __init__(self, clock: Clock, lifetime: timedelta = timedelta(seconds=900)) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._issued: dict[str, tuple[Caller, datetime]] = {}

    def issue(self, caller: Caller) -> AccessToken:
        token = secrets.token_urlsafe(16)
        self._issued[token] = (caller, self._clock.now() + self._lifetime)
        return AccessToken(token, int(self._lifetime.total_seconds()))

    async def verify(self, token: str) -> Caller:
        caller, expires = self._issued.get(token, (None, None))
        if caller is None or expires is None or expires <= self._clock.now():
            raise InvalidToken("unknown or expired")
        return caller
