"""Attempts to sign in, as the throttle sees them."""

from contextlib import suppress

from ordergate.application.errors import Throttled
from ordergate.application.ports.passwords import (
    Throttle,
    ThrottleKey,
    Verification,
    Verify,
    make_sign_in_key,
)

HERE, THERE = "192.0.2.1", "198.51.100.7"


ALICE_KEY = make_sign_in_key("alice")


MATCH, FAILURE = Verification(matches=True), Verification(matches=False)


class Unjudged(Exception):
    """A guess ends before it is known whether it matches."""


def verification(matched: bool | None) -> Verify:
    async def verify() -> Verification:
        if matched is None:
            raise Unjudged
        return Verification(matched)

    return verify


async def guess(
    throttle: Throttle,
    username: str | ThrottleKey = "alice",
    address: str = HERE,
    *,
    familiar: bool = False,
    matched: bool | None = False,
) -> None:
    key = make_sign_in_key(username) if isinstance(username, str) else username
    with suppress(Unjudged):
        outcome = await throttle.guard(key, address, verification(matched), familiar=familiar)
        assert outcome.matches is matched


async def is_blocked(
    throttle: Throttle,
    username: str | ThrottleKey = "alice",
    address: str = THERE,
    *,
    familiar: bool = False,
) -> bool:
    try:
        await guess(throttle, username, address, familiar=familiar, matched=None)
    except Throttled as refusal:
        assert 1 <= refusal.retry_after <= 60
        return True
    return False
