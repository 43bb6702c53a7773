"""Metadata, public keys, CORS and the OpenAPI document."""

import base64
import json
import re

import httpx
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from ordergate.domain.user import MAX_ID as MAX
from tests.support.http_client import PROBLEM, problem, sign_in


async def test_metadata_describes_this_service(client: httpx.AsyncClient) -> None:
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
        "response_types_supported": [],
        "grant_types_supported": ["password", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
    }
    AuthorizationServerMetadata(response.json()).validate_grant_types_supported()


async def test_public_keys_are_published_and_cacheable(client: httpx.AsyncClient) -> None:
    response = await client.get("/.well-known/jwks.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/jwk-set+json"
    assert response.headers["cache-control"] == "public, max-age=300"
    header = (await sign_in(client))["Authorization"].split()[1].split(".")[0]
    kid = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    published = [(key["kid"], set(key)) for key in response.json()["keys"]]
    members = {"kty", "crv", "x", "kid", "alg", "use"}
    assert published == ([] if kid == "secret" else [(kid, members)])


async def test_cors_allows_a_configured_origin(client: httpx.AsyncClient) -> None:
    preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
    asked = {**preflight, "Access-Control-Request-Headers": "authorization"}
    response = await client.options("/order?id=1", headers=asked)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://shop.example"
    response = await client.get("/nothing", headers={"Origin": "https://shop.example"})
    assert response.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-credentials" not in response.headers


async def test_cors_refuses_other_origins(client: httpx.AsyncClient) -> None:
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    response = await client.options("/order?id=1", headers=preflight)
    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers
    problem(response)


async def test_docs_page_assets_are_served_locally(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 4
    for link in links:
        asset = await client.get(httpx.URL(client.base_url).join("/docs").join(link))
        assert asset.status_code == 200, link
        assert asset.headers["content-type"].split(";")[0] in {
            "image/png", "text/css", "text/javascript",
        }  # fmt: skip


async def test_root_redirects_to_the_documentation(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "docs")


async def test_openapi_document_names_operations_errors_and_the_scheme(
    client: httpx.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert {name: operation["operationId"] for name, operation in operations.items()} == {
        "POST /login": "login",
        "POST /revoke": "revoke",
        "POST /users": "register_user",
        "GET /me": "get_account",
        "PUT /me/password": "change_password",
        "DELETE /me": "close_account",
        "GET /sessions": "list_sessions",
        "DELETE /sessions": "end_sessions",
        "DELETE /sessions/{id}": "end_session",
        "POST /orders": "place_order",
        "GET /orders": "list_orders",
        "GET /orders/{id}": "read_order",
        "POST /orders/{id}/cancel": "cancel_order",
        "GET /order": "read_order_by_query",
        "GET /.well-known/jwks.json": "jwks",
        "GET /.well-known/oauth-authorization-server": "server_metadata",
        "GET /livez": "livez",
        "GET /readyz": "readyz",
    }
    everywhere = {"200", "400", "413", "422", "431", "500", "503"}
    assert set(operations["GET /livez"]["responses"]) == everywhere
    assert set(operations["GET /order"]["responses"]) == everywhere | {
        "304", "401", "403", "404", "412",
    }  # fmt: skip
    assert set(operations["POST /login"]["responses"]) == everywhere | {"401", "415", "429"}
    for name, operation in operations.items():
        unavailable = operation["responses"]["503"]["content"][PROBLEM]["examples"]
        assert ("outcome-unknown" in unavailable) is not name.startswith("GET ")
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                content = response["content"]
                assert list(content) == [PROBLEM]
                assert content[PROBLEM]["examples"]
    assert document["components"]["securitySchemes"] == {
        "password": {
            "type": "oauth2",
            "description": document["components"]["securitySchemes"]["password"]["description"],
            "flows": {
                "password": {
                    "scopes": {
                        "orders:read": "Read your orders",
                        "orders:write": "Place and cancel your orders",
                        "account": "Look after your account and your sessions",
                    },
                    "tokenUrl": "login",
                }
            },
        }
    }
    parameter, *conditions = operations["GET /order"]["parameters"]
    assert [(each["in"], each["name"]) for each in conditions] == [
        ("header", "If-Match"),
        ("header", "If-None-Match"),
    ]
    assert (parameter["schema"]["minimum"], parameter["schema"]["maximum"]) == (1, MAX)
    assert operations["GET /order"]["security"] == [{"password": ["orders:read"]}]
    assert "security" not in operations["POST /login"]
