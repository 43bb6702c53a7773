"""Scopes of the order operations."""

import httpx2
import pytest

from tests.support.api.http_client import TEA, problem
from tests.support.program.command import PASSWORD


@pytest.mark.parametrize(
    ("scope", "method", "address", "needed"),
    [
        ("orders:read", "POST", "/orders", "orders:write"),
        ("orders:read", "POST", "/orders/1/cancel", "orders:write"),
        ("orders:write", "GET", "/orders", "orders:read"),
        ("account", "GET", "/orders/1", "orders:read"),
    ],
)
async def test_each_operation_needs_its_scope(
    client: httpx2.AsyncClient, scope: str, method: str, address: str, needed: str
) -> None:
    form = {"username": "user1", "password": PASSWORD, "scope": scope}
    token = (await client.post("/login", data=form)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = await client.request(
        method, address, headers=headers, json=TEA if address == "/orders" else None
    )
    assert answer.status_code == 403
    assert problem(answer)["scope"] == needed
