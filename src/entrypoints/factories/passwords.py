"""The hashing of passwords, and the throttling of guesses."""

from typing import TYPE_CHECKING

from ordergate.adapters.passwords.bcrypt_password_hasher import BcryptPasswordHasher
from ordergate.application.ports.passwords import PasswordHasher, Throttle
from ordergate.entrypoints.config.settings import Settings

if TYPE_CHECKING:  # it loads a client of Redis
    from ordergate.adapters.throttling.redis_counters import RedisCounters


def make_hasher(settings: Settings, *, low_priority: bool) -> PasswordHasher:
    """Make the hasher.

    `low_priority` makes its threads yield to those that serve requests.
    """
    return BcryptPasswordHasher(
        cost=settings.bcrypt_cost,
        threads=settings.hashing_threads,
        queue=settings.hashing_queue,
        low_priority=low_priority,
    )


def has_settings(hasher: PasswordHasher) -> bool:
    """Report whether the settings apply to this hasher."""
    return isinstance(hasher, BcryptPasswordHasher)


def make_throttle(settings: Settings) -> Throttle:
    """Make the throttle.

    It counts in Redis or Valkey if a setting names one.
    """
    from ordergate.adapters.throttling.limits_throttle import LimitsThrottle

    return LimitsThrottle(
        per_account=settings.sign_in_failures_per_account,
        per_address=settings.sign_in_failures_per_address,
        window_seconds=settings.sign_in_window_seconds,
        shared=_make_shared_counters(settings),
    )


async def find_throttle_error(settings: Settings) -> str | None:
    """Return why the configured Redis does not answer, or `None`."""
    counters = _make_shared_counters(settings)
    if counters is None:
        return None
    try:
        return await counters.find_error()
    finally:
        await counters.close()


def _make_shared_counters(settings: Settings) -> "RedisCounters | None":
    if settings.throttle_url is None:
        return None
    from ordergate.adapters.throttling.redis_counters import RedisCounters

    return RedisCounters(settings.throttle_url.get_secret_value())
