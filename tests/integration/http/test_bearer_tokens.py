"""Access tokens in the Authorization header."""

import httpx2
import pytest

from tests.support.api.http_client import challenge, problem, sign_in
from tests.support.program.command import PASSWORD


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic Og=="},
        {"Authorization": "Bearer"},
    ],
)
async def test_missing_token_gets_a_bare_challenge(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    response = await client.get("/order?id=abc", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == challenge()
    problem(response)


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "é", "\xa0x", "x" * 10_000, "a b", "..", "eyJhbGciOiJub25lIn0.e30."]
)
async def test_untrusted_token_is_answered_invalid_token(
    client: httpx2.AsyncClient, token: str
) -> None:
    response = await client.get(
        "/order?id=1", headers=[(b"Authorization", b"Bearer " + token.encode())]
    )
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == challenge(', error="invalid_token"')
    assert problem(response)["error"] == "invalid_token"


async def test_token_with_one_changed_character_is_refused(client: httpx2.AsyncClient) -> None:
    token = (await sign_in(client))["Authorization"]
    for position in (10, len(token) // 2, len(token) - 5):
        changed = (
            token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        )
        response = await client.get("/order?id=1", headers={"Authorization": changed})
        assert response.status_code == 401


async def test_scheme_is_read_in_any_case(client: httpx2.AsyncClient) -> None:
    token = (await sign_in(client))["Authorization"].removeprefix("Bearer ")
    response = await client.get("/order?id=1", headers={"Authorization": f"bearer {token}"})
    assert response.status_code == 200


async def test_repeated_authorization_is_refused(client: httpx2.AsyncClient) -> None:
    token = (await sign_in(client))["Authorization"]
    twice = [("Authorization", token), ("Authorization", token)]
    response = await client.get("/order?id=1", headers=twice)
    assert response.status_code == 400
    assert response.headers["www-authenticate"] == challenge(', error="invalid_request"')
    assert problem(response)["error"] == "invalid_request"
    form = {"username": "user1", "password": PASSWORD}
    assert (await client.post("/login", data=form, headers=twice)).status_code == 400
