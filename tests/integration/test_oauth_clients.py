"""OAuth2 clients that nobody here wrote sign in and read an order."""

import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import InvalidGrantError, LegacyApplicationClient
from requests_oauthlib import OAuth2Session

from tests.integration.conftest import PASSWORD, Server


@pytest.fixture(autouse=True)
def loopback_needs_no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert refusal.value.description == "Incorrect username or password"
    session.close()
