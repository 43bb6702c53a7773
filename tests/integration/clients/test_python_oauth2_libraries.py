"""Sign in, refresh and sign out with the modules of docs/clients.md."""

import gc
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from authlib.integrations.base_client.errors import OAuthError
from httpx_auth import InvalidGrantRequest, OAuth2
from oauthlib.oauth2 import InvalidGrantError

from ordergate.entrypoints.cli.commands.serving import DEMO_PASSWORD
from tests.integration.clients.conftest import ImportModule
from tests.support.program.command import PATIENT
from tests.support.program.server import Server, serve_demo

PAGE = "clients.md"


@dataclass(frozen=True)
class Library:
    """An OAuth2 library, with functions that read and change its tokens."""

    module: str
    refusal: type[Exception]
    get_tokens: Callable[[Any], dict[str, Any]]
    expire: Callable[[Any], None]
    refresh: Callable[[Any, str], object]
    """Refresh with the tokens of an ended session."""


def expire_session(session: Any) -> None:
    session.token = {**session.token, "expires_in": -1, "expires_at": 1}


def get_cached_tokens(client: Any) -> dict[str, Any]:
    access_token, _, refresh_token = OAuth2.token_cache.tokens[client.auth.state]
    return {"access_token": access_token, "refresh_token": refresh_token}


def expire_cached(client: Any) -> None:
    cached = get_cached_tokens(client)
    tokens = (cached["access_token"], 1.0, cached["refresh_token"])
    OAuth2.token_cache.tokens[client.auth.state] = tokens


LIBRARIES = [
    Library(
        "requests_oauthlib_client",
        InvalidGrantError,
        lambda session: dict(session.token),
        expire_session,
        lambda session, token: session.refresh_token(session.auto_refresh_url, token),
    ),
    Library(
        "authlib_client",
        OAuthError,
        lambda client: dict(client.token),
        expire_session,
        lambda client, token: client.refresh_token(refresh_token=token),
    ),
    Library(
        "httpx_auth_client",
        InvalidGrantRequest,
        get_cached_tokens,
        expire_cached,
        lambda client, token: client.auth.refresh_token(token),
    ),
]


@pytest.fixture(autouse=True)
def allow_http_and_forget_tokens(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    yield
    OAuth2.token_cache.clear()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve_demo(tmp_path_factory.mktemp("demo"), **PATIENT) as server:
        yield server


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("library", LIBRARIES, ids=[each.module for each in LIBRARIES])
def test_library_signs_in_refreshes_and_signs_out(
    import_module_of_page: ImportModule, demo: Server, library: Library
) -> None:
    page = import_module_of_page(PAGE, library.module, demo)
    orders = f"{demo.url}/orders"
    with pytest.raises(library.refusal, match="Incorrect username or password"):
        page.sign_in("user1", "a wrong password").get(orders)
    gc.collect()  # the client of a refused sign-in is not closed

    with closing(page.sign_in("user1", DEMO_PASSWORD)) as client:
        teapot = {"sku": "POT", "name": "Teapot", "quantity": 1, "unit_price": "64.00"}
        order = {"currency": "EUR", "lines": [teapot]}
        key = {"Idempotency-Key": str(uuid.uuid4())}
        placed = client.post(orders, json=order, headers=key).json()
        first = library.get_tokens(client)

        library.expire(client)
        assert client.get(f"{orders}/{placed['id']}").json() == placed
        second = library.get_tokens(client)
        assert second["access_token"] != first["access_token"]
        assert second["refresh_token"] != first["refresh_token"]

        page.sign_out(client)
        with pytest.raises(library.refusal, match="sign in again"):
            library.refresh(client, second["refresh_token"])
