"""The life of signing keys: published, signing, verifying only, gone. Pure: no file, no clock."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from ordergate.adapters.tokens.keys.jwk import MAX_KEYS, Algorithm
from ordergate.adapters.tokens.keys.signing_key import SigningKey
from ordergate.application.errors import SigningKeyError
from ordergate.application.ports.tokens import JWKS_MAX_AGE

PUBLISH_SECONDS = 2 * JWKS_MAX_AGE
"""How long a key is published before it signs: whoever keeps the JWK Set knows it by then."""


class Status(StrEnum):
    """Where a key is in its life, in the order of that life."""

    PUBLISHED = "published"
    SIGNING = "signing"
    VERIFYING = "verifying"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class RingKey:
    """A key, where it is in its life, and since when (UTC, whole seconds)."""

    key: SigningKey
    status: Status
    since: datetime

    @property
    def kid(self) -> str:
        """The key's id."""
        return self.key.kid

    def due(self, token_life: timedelta) -> datetime | None:
        """Tell when the next step of its life may come, or `None` where nothing is waited for.

        Its tokens are accepted for `token_life` after it stopped signing.
        """
        match self.status:
            case Status.PUBLISHED:
                return self.since + timedelta(seconds=PUBLISH_SECONDS)
            case Status.VERIFYING:
                return self.since + token_life
            case _:
                return None

    def waits_until(self, now: datetime, token_life: timedelta) -> datetime | None:
        """Tell when the next step is due, or `None` where it is now."""
        due = self.due(token_life)
        return due if due and now < due else None


@dataclass(frozen=True, slots=True)
class RingState:
    """All keys at one moment: none yet, or several of which exactly one signs.

    Each step returns the state after it, or raises `SigningKeyError`. `early` takes a step before
    it is due; `now` is in UTC. What contradicts itself is no state: ValueError.
    """

    keys: tuple[RingKey, ...] = ()

    def __post_init__(self) -> None:
        kids = [key.kid for key in self.keys]
        if len(set(kids)) < len(kids) or len(kids) > MAX_KEYS:
            raise ValueError(f"a key is there twice, or there are more than {MAX_KEYS}")
        if self.keys and [key.status for key in self.keys].count(Status.SIGNING) != 1:
            raise ValueError("not exactly one key signs")

    def signing(self) -> RingKey:
        """Return the key that signs."""
        return next(key for key in self.keys if key.status is Status.SIGNING)

    def with_new(self, key: SigningKey, now: datetime) -> Self:
        """Publish a key. The first of all signs immediately: no other is in use."""
        if key.kid in {each.kid for each in self.keys}:
            raise SigningKeyError(f"{key.kid} is there already; see `ordergate keys list`")
        if len(self.keys) == MAX_KEYS:
            raise SigningKeyError(f"there are {MAX_KEYS} keys; retire one first")
        status = Status.PUBLISHED if self.keys else Status.SIGNING
        return self._of(*self.keys, RingKey(key, status, now.replace(microsecond=0)))

    def promoted(
        self, kid: str, now: datetime, token_life: timedelta, *, early: bool = False
    ) -> Self:
        """Let a published key sign; the one that did only verifies from now on."""
        key = self._find(kid)
        if key.status is Status.SIGNING:
            raise SigningKeyError(f"{kid} signs already")
        if key.status is not Status.PUBLISHED:
            raise SigningKeyError(
                f"{kid} has signed before and only verifies; promote a published key"
            )
        until = key.waits_until(now, token_life)
        if until and not early:
            raise SigningKeyError(
                f"not every verifier may know {kid} before {until:%Y-%m-%dT%H:%M:%SZ}; "
                "wait, or promote it with --now"
            )
        now = now.replace(microsecond=0)
        steps = {kid: Status.SIGNING, self.signing().kid: Status.VERIFYING}
        return self._of(
            *(
                replace(each, status=steps[each.kid], since=now) if each.kid in steps else each
                for each in self.keys
            )
        )

    def retired(
        self, kid: str, now: datetime, token_life: timedelta, *, early: bool = False
    ) -> Self:
        """Drop a key: a published one, or one whose tokens have all expired."""
        key = self._find(kid)
        if key.status is Status.SIGNING:
            raise SigningKeyError(f"{kid} signs; promote another key first")
        until = key.waits_until(now, token_life)
        if key.status is Status.VERIFYING and until and not early:
            raise SigningKeyError(
                f"tokens that {kid} signed are good until {until:%Y-%m-%dT%H:%M:%SZ}; "
                "wait, or end them immediately with --now"
            )
        return self._of(*(each for each in self.keys if each is not key))

    def rotated(
        self,
        now: datetime,
        token_life: timedelta,
        make: Callable[[Algorithm], SigningKey],
        *,
        early: bool = False,
    ) -> Self:
        """Take every step that is due.

        Keys whose tokens have all expired go; the key published longest signs if it may; where none
        is published, one of the signing key's algorithm is. `early` lets it sign immediately, and
        ends no token.
        """
        if not self.keys:
            return self.with_new(make("EdDSA"), now)
        state = self._of(*(key for key in self.keys if not _has_served(key, now, token_life)))
        if not any(key.status is Status.PUBLISHED for key in state.keys):
            state = state.with_new(make(self.signing().key.algorithm), now)
        published = (key for key in state.keys if key.status is Status.PUBLISHED)
        first = min(published, key=lambda key: key.since)
        if early or not first.waits_until(now, token_life):
            state = state.promoted(first.kid, now, token_life, early=early)
        return state

    def _find(self, kid: str) -> RingKey:
        for key in self.keys:
            if key.kid == kid:
                return key
        raise SigningKeyError(f"there is no key {kid}; `ordergate keys list` shows those there are")

    def _of(self, *keys: RingKey) -> Self:
        return type(self)(keys)


def _has_served(key: RingKey, now: datetime, token_life: timedelta) -> bool:
    return key.status is Status.VERIFYING and not key.waits_until(now, token_life)
