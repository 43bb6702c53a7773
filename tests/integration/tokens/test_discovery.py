"""Discovery of an issuer's keys, over HTTP on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.adapters.tokens.remote.discovery import list_metadata_urls
from ordergate.adapters.tokens.remote.remote_key_set import RemoteKeySet
from ordergate.application.errors import IssuerKeysUnavailable
from ordergate.entrypoints.cli.commands.serving import DEMO_PASSWORD
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from tests.support.program.server import serve_demo
from tests.support.tokens.oidc_issuer import Issuer, running_issuer, serve_by_tls

OPENID = ".well-known/openid-configuration"
OAUTH = ".well-known/oauth-authorization-server"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


async def kids(issuer: Issuer) -> list[str | None]:
    keys = await RemoteKeySet(None, issuer=issuer.name).keys(None)
    return [key.kid for key in keys.keys]


async def failure(issuer: Issuer) -> str:
    with pytest.raises(IssuerKeysUnavailable) as error:
        await RemoteKeySet(None, issuer=issuer.name).keys(None)
    return str(error.value).replace(issuer.address, "…")


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        ("https://id.example", [f"https://id.example/{OPENID}", f"https://id.example/{OAUTH}"]),
        ("https://id.example/", [f"https://id.example/{OPENID}", f"https://id.example/{OAUTH}"]),
        (
            "https://ID.example:8443/realms/Shop/",
            [
                f"https://ID.example:8443/realms/Shop/{OPENID}",
                f"https://ID.example:8443/{OAUTH}/realms/Shop",
                f"https://ID.example:8443/{OPENID}/realms/Shop",
            ],
        ),
    ],
)
def test_metadata_is_at_the_addresses_of_both_standards(issuer: str, urls: list[str]) -> None:
    """OpenID Connect Discovery, section 4; RFC 8414, sections 3.1 and 5."""
    assert list_metadata_urls(issuer) == urls


@pytest.mark.parametrize("below", ["", "/", "/realms/shop", "/realms/Shop/"])
@pytest.mark.parametrize("standard", ["openid", "oauth", "openid inserted"])
async def test_keys_are_found_by_the_metadata(issuer: Issuer, below: str, standard: str) -> None:
    path = {
        "openid": f"{below.rstrip('/')}/{OPENID}",
        "oauth": f"/{OAUTH}{below.rstrip('/')}",
        "openid inserted": f"/{OPENID}{below.rstrip('/')}",
    }[standard]
    issuer.publish_metadata(f"{issuer.address}{below}", path=path)
    assert await kids(issuer) == [issuer.keys[0]["kid"]]


@pytest.mark.parametrize(
    "named", ["with a slash", "with a capital", "a part of it", "another", 5, None, ...]
)
async def test_metadata_names_the_issuer_to_the_letter(issuer: Issuer, named: object) -> None:
    """RFC 8414, section 3.3."""
    issuer.name = f"{issuer.address}/realms/shop"
    names = {
        "with a slash": f"{issuer.name}/",
        "with a capital": f"{issuer.address}/realms/Shop",
        "a part of it": f"{issuer.address}/realms",
    }
    issuer.publish_metadata(issuer=names.get(str(named), named))
    assert "the metadata is of the issuer" in await failure(issuer)
    issuer.documents.clear()
    issuer.publish_metadata()
    assert await kids(issuer) == [issuer.keys[0]["kid"]]


@pytest.mark.parametrize(
    ("jwks_uri", "reason"),
    [
        (..., "the metadata has no jwks_uri"),
        (5, "the metadata has no jwks_uri"),
        ("/jwks", "the address '/jwks' must begin with https:// or http://"),
        ("file:///etc/passwd", "must begin with https:// or http://"),
        ("http://id.example/jwks", "is http, which anyone on the way can change"),
        ("https://me:pw@id.example/jwks", "must have no user name"),
    ],
)
async def test_unusable_jwks_uri_is_refused(issuer: Issuer, jwks_uri: object, reason: str) -> None:
    issuer.publish_metadata(jwks_uri=jwks_uri)
    assert reason in await failure(issuer)
    assert issuer.fetches == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
async def test_metadata_by_tls_names_no_keys_on_this_computer(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Any program of this computer could listen there and sign tokens."""
    monkeypatch.setenv("SSL_CERT_FILE", str(serve_by_tls(issuer, tmp_path)))
    with running_issuer() as other:
        issuer.publish_metadata(jwks_uri=other.url.replace("127.0.0.1", host))
        assert "is http on this computer, although the metadata came by https" in (
            await failure(issuer)
        )
        assert other.fetches == 0
    issuer.publish_metadata()
    assert await kids(issuer) == [issuer.keys[0]["kid"]]


async def test_missing_metadata_is_reported_for_each_address(issuer: Issuer) -> None:
    issuer.name = f"{issuer.address}/shop"
    issuer.documents["/elsewhere"] = {}
    assert await failure(issuer) == (
        f"the keys of the issuer: …/shop/{OPENID}: the status is 404;"
        f" …/{OAUTH}/shop: the status is 404; …/{OPENID}/shop: the status is 404"
    )


async def test_metadata_is_read_again_with_the_keys(issuer: Issuer) -> None:
    issuer.publish_metadata()
    seconds = [1000.0]
    keys = RemoteKeySet(None, issuer=issuer.name, monotonic=lambda: seconds[0])
    await keys.keys(None)
    issuer.documents["/new-jwks"] = json.loads(issuer.answer())
    issuer.publish_metadata(jwks_uri=f"{issuer.address}/new-jwks")
    seconds[0] += 86_400
    await keys.keys(None)
    assert issuer.fetches == 1
    await keys.close()


async def test_keys_of_this_service_are_found_by_another(tmp_path: Path) -> None:
    with serve_demo(tmp_path) as server:
        form = {"username": "user1", "password": DEMO_PASSWORD}
        token = httpx2.post(f"{server.url}/login", data=form).json()["access_token"]
        settings = Settings(identity_provider=("oidc",), issuer=server.url, audience="ordergate")
        container = Container(settings=settings, storage=InMemoryStorage())
        caller = await container.verifier().verify(token)
        for keys in container.remote_keys().values():
            await keys.close()
    assert caller.scope == {"account", "orders:read", "orders:write"}
    assert caller.claims["sub"] == "1"
