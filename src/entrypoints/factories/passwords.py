"""The hashing of passwords, and the limits of guesses and of requests."""

from typing import TYPE_CHECKING

from ordergate.adapters.passwords.bcrypt_password_hasher import BcryptPasswordHasher
from ordergate.application.ports.passwords import PasswordHasher, Throttle
from ordergate.application.ports.rate_limits import RateLimiter
from ordergate.entrypoints.config.settings import Settings

if TYPE_CHECKING:  # they load a client of Redis, and `limits`
    from ordergate.adapters.throttling.counting import SharedCounters
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


def is_bcrypt(hasher: PasswordHasher) -> bool:
    """Report whether `ORDERGATE_BCRYPT_COST` applies to this hasher."""
    return isinstance(hasher, BcryptPasswordHasher)


def make_throttle(settings: Settings, shared: "SharedCounters | None") -> Throttle:
    """Make the throttle."""
    from ordergate.adapters.throttling.limits_throttle import LimitsThrottle

    return LimitsThrottle(
        per_account=settings.sign_in_failures_per_account,
        per_address=settings.sign_in_failures_per_address,
        window_seconds=settings.sign_in_window_seconds,
        shared=shared,
    )


def make_rate_limiter(settings: Settings, shared: "SharedCounters | None") -> RateLimiter | None:
    """Make the limiter of requests, or return `None` without a limit."""
    if not (settings.requests_per_address or settings.requests_per_client):
        return None
    from ordergate.adapters.throttling.limits_rate_limiter import LimitsRateLimiter

    return LimitsRateLimiter(
        per_address=settings.requests_per_address,
        per_client=settings.requests_per_client,
        window_seconds=settings.request_window_seconds,
        shared=shared,
    )


async def find_throttle_error(settings: Settings) -> str | None:
    """Return why the configured Redis does not answer, or `None`."""
    counters = make_shared_counters(settings)
    if counters is None:
        return None
    try:
        return await counters.find_error()
    finally:
        await counters.close()


def make_shared_counters(settings: Settings) -> "RedisCounters | None":
    """Make the counters in Redis or Valkey, if a setting names one."""
    if settings.throttle_url is None:
        return None
    from ordergate.adapters.throttling.redis_counters import RedisCounters

    return RedisCounters(settings.throttle_url.get_secret_value())
