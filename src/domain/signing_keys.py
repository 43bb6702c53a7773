"""The life cycle of signing keys: published, signing, verifying, removed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, NewType, Self

from ordergate.domain.errors import (
    InvalidKeyChange,
    KeyAlreadyPresent,
    KeyChangeTooEarly,
    UnknownKey,
)

KeyId = NewType("KeyId", str)
"""The id of a key, which tokens name as their `kid`."""

KeyAlgorithm = Literal["EdDSA", "ES256", "RS256", "HS256"]
"""The algorithm of a key.

HS256 is for a secret in the settings.
"""

FIRST_ALGORITHM: KeyAlgorithm = "ES256"
"""The default algorithm of the first key; every common library verifies it."""

MAX_KEYS = 32


class KeyStatus(StrEnum):
    """The status of a key, in the order of its life cycle."""

    PUBLISHED = "published"
    SIGNING = "signing"
    VERIFYING = "verifying"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is in no ring yet."""

    id: KeyId
    algorithm: KeyAlgorithm


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key without its material, with its status.

    `since` is the time of the status, in UTC and whole seconds; a key from the settings has none.
    """

    id: KeyId
    algorithm: KeyAlgorithm
    status: KeyStatus
    since: datetime | None


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """The waiting times between the statuses of a key.

    Other services may cache the public keys for `cache_time`. The tokens of a key are accepted for
    `token_time` after it stopped signing.
    """

    cache_time: timedelta
    token_time: timedelta

    def due(self, key: KeyRecord) -> datetime | None:
        """Return the time of a waiting key's next status, else `None`.

        A key is published for twice the cache time, so every verifier knows it by then.
        """
        if key.since is None:
            return None
        match key.status:
            case KeyStatus.PUBLISHED:
                return key.since + 2 * self.cache_time
            case KeyStatus.VERIFYING:
                return key.since + self.token_time
            case _:
                return None

    def waits_until(self, key: KeyRecord, now: datetime) -> datetime | None:
        """Return the time of the next status, or `None` if due."""
        due = self.due(key)
        return due if due and now < due else None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys at one moment; exactly one signs, if there are any.

    Each method returns the changed ring or raises `InvalidKeyChange`. `early` changes a key before
    it is due; `now` is in UTC. A contradictory ring raises ValueError.
    """

    keys: tuple[KeyRecord, ...] = ()

    def __post_init__(self) -> None:
        ids = [key.id for key in self.keys]
        if len(set(ids)) < len(ids) or len(ids) > MAX_KEYS:
            raise ValueError(f"a key is there twice, or there are more than {MAX_KEYS}")
        if self.keys and [key.status for key in self.keys].count(KeyStatus.SIGNING) != 1:
            raise ValueError("not exactly one key signs")

    def signing(self) -> KeyRecord:
        """Return the key that signs."""
        return next(key for key in self.keys if key.status is KeyStatus.SIGNING)

    def choose_algorithm(self) -> KeyAlgorithm:
        """Return the signing key's algorithm, the default of a new key."""
        return self.signing().algorithm if self.keys else FIRST_ALGORITHM

    def publish(self, key: NewKey, now: datetime) -> Self:
        """Publish a key. The first key signs immediately."""
        if key.id in {each.id for each in self.keys}:
            raise KeyAlreadyPresent(f"{key.id} is there already")
        if len(self.keys) == MAX_KEYS:
            raise InvalidKeyChange(f"there are {MAX_KEYS} keys; retire one first")
        status = KeyStatus.PUBLISHED if self.keys else KeyStatus.SIGNING
        record = KeyRecord(key.id, key.algorithm, status, now.replace(microsecond=0))
        return self._with(*self.keys, record)

    def promote(
        self, key_id: KeyId, now: datetime, schedule: KeySchedule, *, early: bool = False
    ) -> Self:
        """Let a published key sign; the previous key only verifies afterwards."""
        key = self._find(key_id)
        if key.status is KeyStatus.SIGNING:
            raise InvalidKeyChange(f"{key_id} signs already")
        if key.status is not KeyStatus.PUBLISHED:
            raise InvalidKeyChange(
                f"{key_id} has signed before and only verifies; promote a published key"
            )
        until = schedule.waits_until(key, now)
        if until and not early:
            raise KeyChangeTooEarly(
                f"not every verifier may know {key_id} before {until:%Y-%m-%dT%H:%M:%SZ}"
            )
        now = now.replace(microsecond=0)
        steps = {key_id: KeyStatus.SIGNING, self.signing().id: KeyStatus.VERIFYING}
        return self._with(
            *(
                replace(each, status=steps[each.id], since=now) if each.id in steps else each
                for each in self.keys
            )
        )

    def retire(
        self, key_id: KeyId, now: datetime, schedule: KeySchedule, *, early: bool = False
    ) -> Self:
        """Remove a published key, or one whose tokens have all expired."""
        key = self._find(key_id)
        if key.status is KeyStatus.SIGNING:
            raise InvalidKeyChange(f"{key_id} signs; promote another key first")
        until = schedule.waits_until(key, now)
        if key.status is KeyStatus.VERIFYING and until and not early:
            raise KeyChangeTooEarly(
                f"tokens that {key_id} signed are valid until {until:%Y-%m-%dT%H:%M:%SZ}"
            )
        return self._with(*(each for each in self.keys if each is not key))

    def rotate(
        self,
        now: datetime,
        schedule: KeySchedule,
        make: Callable[[KeyAlgorithm], NewKey],
        *,
        early: bool = False,
    ) -> Self:
        """Apply every due change.

        It removes keys whose tokens have all expired and promotes the key that was published
        longest, if it may sign. If none is published, it publishes a key with the algorithm of the
        signing key. `early` lets it sign immediately; no token becomes invalid.
        """
        if not self.keys:
            return self.publish(make(self.choose_algorithm()), now)
        kept = (
            key
            for key in self.keys
            if key.status is not KeyStatus.VERIFYING or schedule.waits_until(key, now)
        )
        ring = self._with(*kept)
        if not any(key.status is KeyStatus.PUBLISHED for key in ring.keys):
            ring = ring.publish(make(ring.choose_algorithm()), now)
        published = (key for key in ring.keys if key.status is KeyStatus.PUBLISHED)
        first = min(published, key=lambda key: schedule.due(key) or now)
        if early or not schedule.waits_until(first, now):
            ring = ring.promote(first.id, now, schedule, early=early)
        return ring

    def find_changes(self, before: Self) -> list[KeyRecord]:
        """Return the changed keys; a removed key has the status REMOVED."""
        kept = {key.id for key in self.keys}
        removed = [replace(k, status=KeyStatus.REMOVED) for k in before.keys if k.id not in kept]
        return [*removed, *(key for key in self.keys if key not in before.keys)]

    def _find(self, key_id: KeyId) -> KeyRecord:
        for key in self.keys:
            if key.id == key_id:
                return key
        raise UnknownKey(f"there is no key {key_id}")

    def _with(self, *keys: KeyRecord) -> Self:
        return type(self)(keys)
