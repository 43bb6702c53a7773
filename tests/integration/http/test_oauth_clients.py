"""Independent OAuth2 clients sign in and read an order."""

import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import InvalidGrantError, LegacyApplicationClient
from requests_oauthlib import OAuth2Session

from tests.support.program.command import PASSWORD
from tests.support.program.server import Server


@pytest.fixture(autouse=True)
def allow_http_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.mark.parametrize("in_body", [True, False, None])
def test_requests_oauthlib_signs_in(served: Server, in_body: bool | None) -> None:
    session = OAuth2Session(client=LegacyApplicationClient(client_id="shop"))
    token = session.fetch_token(
        f"{served.url}/login", username="user1", password=PASSWORD, include_client_id=in_body
    )
    assert token["token_type"] == "bearer"
    assert session.get(f"{served.url}/order", params={"id": 1}).json()["id"] == 1
    assert session.get(f"{served.url}/orders/2").status_code == 404
    session.close()


def test_requests_oauthlib_understands_a_refusal(served: Server) -> None:
    session = OAuth2Session(client=LegacyApplicationClient(client_id="shop"))
    with pytest.raises(InvalidGrantError, match="Incorrect username or password"):
        session.fetch_token(f"{served.url}/login", username="user1", password="wrong")
    session.close()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"client_secret": "", "token_endpoint_auth_method": "client_secret_basic"},
        {"client_secret": "", "token_endpoint_auth_method": "client_secret_post"},
    ],
)
def test_authlib_signs_in(served: Server, options: dict[str, str]) -> None:
    session = AuthlibSession("shop", **options)
    token = session.fetch_token(f"{served.url}/login", username="user2", password=PASSWORD)
    assert token["token_type"] == "bearer"
    assert session.get(f"{served.url}/order", params={"id": 2}).json()["id"] == 2
    session.close()


def test_authlib_understands_a_refusal(served: Server) -> None:
    session = AuthlibSession("shop")
    with pytest.raises(OAuthError) as refusal:
        session.fetch_token(f"{served.url}/login", username="nobody", password="wrong")
    assert refusal.value.error == "invalid_grant"
    assert refusal.value.description == "Incorrect username or password."
    session.close()


def test_requests_oauthlib_refreshes_by_itself(served: Server) -> None:
    kept: list[dict[str, str]] = []
    session = OAuth2Session(
        client=LegacyApplicationClient(client_id="shop"),
        auto_refresh_url=f"{served.url}/login",
        auto_refresh_kwargs={"client_id": "shop"},
        token_updater=kept.append,
    )
    first = session.fetch_token(f"{served.url}/login", username="user1", password=PASSWORD)
    session.token = {**first, "expires_in": -1, "expires_at": 1}
    assert session.get(f"{served.url}/order", params={"id": 1}).json()["id"] == 1
    (second,) = kept
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    session.close()


def test_authlib_refreshes_by_itself(served: Server) -> None:
    kept: list[dict[str, str]] = []
    session = AuthlibSession(
        "shop",
        token_endpoint=f"{served.url}/login",
        update_token=lambda token, **_: kept.append(token),
    )
    first = session.fetch_token(username="user2", password=PASSWORD)
    session.token = {**first, "expires_at": 1}
    assert session.get(f"{served.url}/order", params={"id": 2}).json()["id"] == 2
    (second,) = kept
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    session.close()


@pytest.mark.parametrize("hint", ["refresh_token", "access_token"])
def test_authlib_revokes(served: Server, hint: str) -> None:
    session = AuthlibSession("shop")
    token = session.fetch_token(f"{served.url}/login", username="user2", password=PASSWORD)
    answer = session.revoke_token(f"{served.url}/revoke", token=token[hint], token_type_hint=hint)
    assert answer.status_code == 200
    with pytest.raises(OAuthError) as refusal:
        session.refresh_token(f"{served.url}/login", token["refresh_token"])
    assert refusal.value.error == "invalid_grant"
    session.close()
