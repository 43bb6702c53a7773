"""Scopes and methods of the identity routes."""

import httpx2
import pytest

from tests.support.api.http_client import challenge
from tests.support.api.identity_client import bearer, sign_in


@pytest.mark.parametrize(
    ("scope", "method", "address", "needed"),
    [
        ("account", "GET", "/order?id=1", "orders:read"),
        ("orders:write", "GET", "/orders/1", "orders:read"),
        ("orders:read orders:write", "GET", "/me", "account"),
        ("orders:read", "GET", "/sessions", "account"),
        ("orders:read", "DELETE", "/sessions", "account"),
    ],
)
async def test_insufficient_scope_is_answered_with_the_missing_scope(
    client: httpx2.AsyncClient, scope: str, method: str, address: str, needed: str
) -> None:
    tokens = await sign_in(client, scope=scope)
    assert tokens["scope"] == scope
    answer = await client.request(method, address, headers=bearer(tokens))
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == challenge(
        f', error="insufficient_scope", scope="{needed}"'
    )
    assert answer.json()["type"] == "urn:problem-type:ordergate:insufficient-scope"


async def test_unsupported_method_is_answered_with_all_supported_ones(
    client: httpx2.AsyncClient,
) -> None:
    answer = await client.patch("/me")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")
