"""Metadata, public keys and the documentation page."""

import base64
import json
import re

import httpx2
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from tests.support.api.http_client import sign_in


async def test_metadata_describes_this_service(client: httpx2.AsyncClient) -> None:
    response = await client.get("/.well-known/oauth-authorization-server")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "public, max-age=300"
    here = "http://127.0.0.1:8000"
    assert response.json() == {
        "issuer": here,
        "token_endpoint": f"{here}/login",
        "revocation_endpoint": f"{here}/revoke",
        "jwks_uri": f"{here}/.well-known/jwks.json",
        "service_documentation": f"{here}/docs",
        "scopes_supported": ["account", "orders:read", "orders:write"],
        "response_types_supported": ["none"],
        "grant_types_supported": ["password", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "protected_resources": [here],
    }


async def test_resource_metadata_names_the_issuer(client: httpx2.AsyncClient) -> None:
    refused = await client.get("/orders")
    address = re.search('resource_metadata="(.*?)"', refused.headers["www-authenticate"])
    assert address
    response = await client.get(httpx2.URL(address[1]).path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "public, max-age=300"
    here = "http://127.0.0.1:8000"
    assert response.json() == {
        "resource": here,
        "authorization_servers": [here],
        "scopes_supported": ["account", "orders:read", "orders:write"],
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{here}/docs",
    }
    assert (await client.get(f"{httpx2.URL(address[1]).path}?page=2")).status_code == 422


async def test_metadata_is_valid_for_authlib(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    response = await client.get("/.well-known/oauth-authorization-server")
    AuthorizationServerMetadata(response.json()).validate()


async def test_metadata_is_where_openid_connect_has_it(client: httpx2.AsyncClient) -> None:
    answers = [
        await client.get(f"/.well-known/{name}")
        for name in ("openid-configuration", "oauth-authorization-server")
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].content == answers[1].content
    assert answers[0].headers["cache-control"] == "public, max-age=300"
    assert (await client.get("/.well-known/openid-configuration?page=2")).status_code == 422


async def test_public_keys_are_published_and_cacheable(client: httpx2.AsyncClient) -> None:
    response = await client.get("/.well-known/jwks.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/jwk-set+json"
    assert response.headers["cache-control"] == "public, max-age=300"
    header = (await sign_in(client))["Authorization"].split()[1].split(".")[0]
    kid = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    published = [(key["kid"], set(key)) for key in response.json()["keys"]]
    members = {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert published == ([] if kid == "secret" else [(kid, members)])


async def test_docs_page_assets_are_served_locally(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 4
    for link in links:
        asset = await client.get(httpx2.URL(client.base_url).join("/docs").join(link))
        assert asset.status_code == 200, link
        assert asset.headers["content-type"].split(";")[0] in {
            "image/png", "text/css", "text/javascript",
        }  # fmt: skip


async def test_root_redirects_to_the_documentation(client: httpx2.AsyncClient) -> None:
    response = await client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "docs")
