"""Doubles for use-case tests, which pass the contracts of real adapters."""

import asyncio
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from ordergate.application.errors import InvalidToken, SigningKeyError, Throttled
from ordergate.application.ports.audit import Audit, AuditEvent, AuditRecord, Origin
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.passwords import (
    PasswordHasher,
    Requester,
    Throttle,
    ThrottleKey,
    Verification,
    Verify,
)
from ordergate.application.ports.signing_keys import SigningKeys
from ordergate.application.ports.tokens import AccessToken, Caller, TokenIssuer
from ordergate.domain.address import find_client_network, find_customer_network
from ordergate.domain.session import SessionId
from ordergate.domain.signing_keys import KeyAlgorithm, KeyId, KeyRecord, KeyRing, NewKey
from ordergate.domain.user import Password, PasswordHash, UserId

Tally = tuple[str, *tuple[Hashable, ...]]
"""What failures are counted for: a kind of counter, and whose it is."""


class SettableClock(Clock):
    """Time changes only when a test advances it."""

    def __init__(self, now: datetime = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, **by: float) -> None:
        self._now += timedelta(**by)


class InstantPasswordHasher(PasswordHasher):
    """Writes a hash as `work$salt$password`.

    Hashes of less `work` are due for an upgrade.

    `hashed` counts the hashes made; `verified` lists what was compared, `None` for nobody's hash,
    so that a test can see that an unknown account cost the same work. `requesters` lists for which
    client each call was.
    """

    def __init__(self, work: int = 2) -> None:
        self._work = work
        self.verified: list[PasswordHash | None] = []
        self.requesters: list[Requester | None] = []
        self.hashed = 0
        self.pause = False

    def close(self) -> None:
        """Do nothing: it has no threads."""

    async def hash(self, password: Password, requester: Requester | None = None) -> PasswordHash:
        self.hashed += 1
        self.requesters.append(requester)
        return PasswordHash(f"{self._work}${secrets.token_hex(8)}${password.secret}")

    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        self.verified.append(stored)
        self.requesters.append(requester)
        if self.pause:  # so that others get as far
            await asyncio.sleep(0)
        work, _, rest = (stored or "").partition("$")
        _, dollar, secret = rest.partition("$")
        if not work.isdecimal() or not dollar or secret != password.secret:
            return Verification(matches=False)
        due = int(work) < self._work
        return Verification(
            matches=True, upgraded=await self.hash(password, requester) if due else None
        )


class TableTokenIssuer(TokenIssuer):
    """Tokens are random words in a table."""

    def __init__(self, clock: Clock, lifetime: timedelta = timedelta(seconds=900)) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._issued: dict[str, tuple[Caller, datetime]] = {}

    def issue(self, caller: Caller, *, until: datetime | None = None) -> AccessToken:
        token = secrets.token_urlsafe(16)
        now = self._clock.now()
        expires = now + self._lifetime if until is None else min(now + self._lifetime, until)
        self._issued[token] = (caller, expires)
        return AccessToken(token, int((expires - now).total_seconds()))

    async def verify(self, token: str) -> Caller:
        caller, expires = self._issued.get(token, (None, None))
        if caller is None or expires is None or expires <= self._clock.now():
            raise InvalidToken("unknown or expired")
        return caller


class CountingThrottle(Throttle):
    """Count failures in a dictionary, and remove each after `window`."""

    def __init__(
        self,
        clock: Clock,
        *,
        per_account: int = 10,
        per_address: int = 100,
        window: timedelta = timedelta(seconds=900),
    ) -> None:
        self._clock = clock
        self._window = window
        self._most = {
            "account": per_account,
            "address": per_address,
            "pair": per_account,
            "sign-up": per_address,
            "customer": 10 * per_address,
            "sign-up of customer": 10 * per_address,
        }
        self._failures: dict[Tally, list[datetime]] = defaultdict(list)
        self._under_way: Counter[Tally] = Counter()

    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        pair, *others = tallies = self._tallies(key, address)
        for tally in [pair] if familiar else others:
            self._refuse(tally)
        self._under_way.update(tallies)
        try:
            outcome = await verify()
        finally:
            self._under_way.subtract(tallies)
        if outcome.matches:
            self._failures.pop(pair, None)
        else:
            self._fail(*tallies)
        return outcome

    async def count_sign_up(self, address: str) -> None:
        for tally in self._networks("sign-up", "sign-up of customer", address):
            self._refuse(tally)
            self._fail(tally)

    async def close(self) -> None:
        pass

    def _tallies(self, key: ThrottleKey, address: str) -> list[Tally]:
        """Return the counts of the key at the address, and of each."""
        pair = ("pair", key, find_client_network(address))
        return [pair, ("account", key), *self._networks("address", "customer", address)]

    def _networks(self, one: str, wider: str, address: str) -> list[Tally]:
        site, customer = find_client_network(address), find_customer_network(address)
        return [(one, site)] if customer == site else [(one, site), (wider, customer)]

    def _fail(self, *tallies: Tally) -> None:
        for tally in tallies:
            self._failures[tally].append(self._clock.now())

    def _refuse(self, tally: Tally) -> None:
        now, most = self._clock.now(), self._most[tally[0]]
        failures = [at for at in self._failures[tally] if at + self._window > now]
        if len(failures) >= most:
            raise Throttled(int((failures[-most] + self._window - now).total_seconds()) or 1)
        if len(failures) + self._under_way[tally] >= most:
            raise Throttled(retry_after=1)


class RecordedAudit(Audit):
    """Records events and keys.

    An event has its origin, user, session and detail.
    """

    def __init__(self) -> None:
        self.events: list[
            tuple[AuditEvent, Origin | None, UserId | None, SessionId | None, str]
        ] = []
        self.keys: list[KeyRecord] = []

    def write(self, record: AuditRecord) -> None:
        self.events.append(
            (record.event, record.origin, record.user, record.session, record.detail)
        )

    def record_key(self, key: KeyRecord) -> None:
        self.keys.append(key)


@dataclass(slots=True)
class KeptKeys:
    """The records of keys that several processes share."""

    ring: KeyRing = field(default_factory=KeyRing)
    lock: Lock = field(default_factory=Lock)


class InMemorySigningKeys(SigningKeys):
    """Keeps the records of keys, and no material.

    No file is read: a path that ends with `.pem` stands for a file with a key.
    """

    def __init__(self, kept: KeptKeys | None = None) -> None:
        self.kept = kept or KeptKeys()

    def list_keys(self) -> Sequence[KeyRecord]:
        return self.kept.ring.keys

    def make_key(self, algorithm: KeyAlgorithm) -> NewKey:
        return NewKey(KeyId(secrets.token_urlsafe(32)), algorithm)

    def import_key(self, file: Path) -> NewKey:
        if file.suffix != ".pem":
            raise SigningKeyError(f"{file}: this is not a PEM file with a private key")
        return NewKey(KeyId(f"the key of {file}"), "EdDSA")

    def change(
        self,
        step: Callable[[KeyRing], KeyRing],
        record: Callable[[Sequence[KeyRecord]], None],
    ) -> Sequence[KeyRecord]:
        with self.kept.lock:
            before, self.kept.ring = self.kept.ring, step(self.kept.ring)
            changed = self.kept.ring.find_changes(before)
            if changed:
                record(changed)
            return changed
