"""Rate limits in the OpenAPI document."""

from collections.abc import Sequence
from typing import Any

from ordergate.application.ports.rate_limits import Quota, RatePolicy
from ordergate.entrypoints.http.middleware.rate_limits import UNLIMITED
from ordergate.entrypoints.http.openapi.responses import header, merge_responses, problems
from ordergate.entrypoints.http.openapi.security_schemes import needs_caller
from ordergate.entrypoints.http.openapi.shared import walk_operations
from ordergate.entrypoints.http.problems.problem import Problem
from ordergate.entrypoints.http.problems.quotas import (
    LIMIT_FIELD,
    POLICY_FIELD,
    make_quota_exceeded,
    write_policies,
)

_DRAFT = "(draft-ietf-httpapi-ratelimit-headers-11)"


def describe_rate_limits(document: dict[str, Any], quotas: Sequence[Quota]) -> None:
    """Describe the refusals and the header fields of operations that are counted."""
    if not quotas:
        return
    document["components"].setdefault("headers", {}).update(
        {
            POLICY_FIELD: header(
                f"The quotas: `q` requests in `w` seconds {_DRAFT}.", write_policies(quotas)
            ),
            LIMIT_FIELD: header(
                f"The requests that are left, `r`, in the next `t` seconds {_DRAFT}.",
                f'"{quotas[0].policy}";r={quotas[0].requests - 1};t={quotas[0].window_seconds}',
            ),
        }
    )
    fields = {
        name: {"$ref": f"#/components/headers/{name}"} for name in (POLICY_FIELD, LIMIT_FIELD)
    }
    counted = {path: item for path, item in document["paths"].items() if path not in UNLIMITED}
    for _, operation in walk_operations({"paths": counted}):
        responses = operation["responses"]
        refusals = list_quota_refusals(quotas, has_caller=needs_caller(operation))
        merge_responses(responses, problems(*refusals))
        for response in responses.values():
            if "$ref" not in response:
                response["headers"] = {**fields, **response.get("headers", {})}
        operation["responses"] = dict(sorted(responses.items()))


def list_quota_refusals(quotas: Sequence[Quota], *, has_caller: bool) -> list[Problem]:
    """Return the refusals of an operation by quotas."""
    return [
        make_quota_exceeded(quota.policy, quota.window_seconds)
        for quota in quotas
        if has_caller or quota.policy is not RatePolicy.CLIENT
    ]
