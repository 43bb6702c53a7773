"""The refusals and the header fields of rate limits.

The fields are those of draft-ietf-httpapi-ratelimit-headers-11.
"""

from collections.abc import Iterable

from ordergate.application.ports.rate_limits import Allowance, Quota, RatePolicy
from ordergate.entrypoints.http.problems.problem import Problem

POLICY_FIELD = "RateLimit-Policy"
LIMIT_FIELD = "RateLimit"

_DETAILS = {
    RatePolicy.ADDRESS: "Too many requests from your address; wait as long as Retry-After says.",
    RatePolicy.CLIENT: "You have sent too many requests; wait as long as Retry-After says.",
}


def make_quota_exceeded(policy: RatePolicy, seconds: int) -> Problem:
    """Make the problem of a request beyond a quota."""
    return Problem(
        429,
        _DETAILS[policy],
        "quota-exceeded",
        {"violated-policies": [policy.value]},
        {"Retry-After": str(seconds)},
    )


def write_policies(quotas: Iterable[Quota]) -> str:
    """Write the value of `RateLimit-Policy`."""
    return ", ".join(
        f'"{quota.policy}";q={quota.requests};w={quota.window_seconds}' for quota in quotas
    )


def write_allowances(allowances: Iterable[Allowance]) -> str:
    """Write the value of `RateLimit`."""
    return ", ".join(f'"{each.policy}";r={each.remaining};t={each.seconds}' for each in allowances)
