"""The time of a password's hash on this machine."""

import time
from collections.abc import Sequence

from ordergate.application.ports.passwords import PasswordHasher
from ordergate.domain.user import Password
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.finding import (
    Finding,
    report_ok,
    report_warning,
    write_milliseconds,
)
from ordergate.entrypoints.factories.passwords import is_bcrypt

CHECK = "passwords"

LEAST_COST = 10
"""The least cost of bcrypt by the OWASP Password Storage Cheat Sheet."""

MAX_SECONDS = 1.0
"""The longest time of a hash by the same."""


async def check_passwords(container: Container) -> Sequence[Finding]:
    """Compare the time and cost of a hash with what is advised."""
    settings = container.settings()
    if not settings.issues_tokens:
        return []
    hasher = container.hasher()
    try:
        seconds = await _measure(hasher)
    finally:
        hasher.close()
    if not is_bcrypt(hasher):
        found = f"a hash of {type(hasher).__name__} takes {write_milliseconds(seconds)}"
        return [_judge_time(seconds, found, "make it cheaper")]
    cost, threads = settings.bcrypt_cost, settings.hashing_threads
    found = (
        f"bcrypt of cost {cost} takes {write_milliseconds(seconds)}, so a worker hashes at most"
        f" {threads / seconds:.0f} passwords a second"
    )
    if cost < LEAST_COST:
        return [report_warning(CHECK, found, f"set ORDERGATE_BCRYPT_COST to {LEAST_COST} or more")]
    return [_judge_time(seconds, found, "lower ORDERGATE_BCRYPT_COST")]


def _judge_time(seconds: float, found: str, remedy: str) -> Finding:
    if seconds > MAX_SECONDS:
        advice = f"{remedy}, or use a faster machine: sign-ins wait for it"
        return report_warning(CHECK, found, advice)
    return report_ok(CHECK, found)


async def _measure(hasher: PasswordHasher) -> float:
    """Return the seconds of a hash; the first one also loads bcrypt."""
    first = await _hash(hasher)
    return first if first > MAX_SECONDS else min(first, await _hash(hasher))


async def _hash(hasher: PasswordHasher) -> float:
    began = time.perf_counter()
    await hasher.hash(Password.new("the password of no account"))
    return time.perf_counter() - began
