"""The HTTP surface, twice: in process on memory, and through a real server on SQLite."""

import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from tests.support.command import PASSWORD
from tests.support.http_client import PROBLEM, problem, sign_in

MAX = 2**63 - 1


# Sign in


async def test_name_and_password_give_a_bearer_token(client: httpx.AsyncClient) -> None:
    response = await client.post("/login", data={"username": "user1", "password": PASSWORD})
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    body = response.json()
    assert body == {
        "access_token": body["access_token"],
        "token_type": "bearer",
        "expires_in": 900,
        "refresh_token": body["refresh_token"],
        "scope": "account orders:read orders:write",
    }
    assert body["access_token"].count(".") == 2
    assert re.fullmatch("ogr_[A-Za-z0-9_-]{43}", body["refresh_token"])


@pytest.mark.parametrize(
    "more",
    [
        {"grant_type": "password"},
        {"grant_type": ""},
        {"scope": ""},
        {"scope": "orders:read account"},
        {"client_id": "shop"},
        {"client_id": "", "client_secret": ""},
        {"a field": "that OAuth2 does not know"},
    ],
)
async def test_optional_fields_are_optional(
    client: httpx.AsyncClient, more: Mapping[str, str]
) -> None:
    form = {"username": "USER1", "password": PASSWORD, **more}
    assert (await client.post("/login", data=form)).status_code == 200


async def test_wrong_password_and_unknown_user_get_the_same_answer(
    client: httpx.AsyncClient,
) -> None:
    answers = [
        await client.post(
            "/login",
            data={"username": username, "password": "wrong"},
            headers={"X-Request-ID": "the-same"},
        )
        for username in ("user1", "nobody", "no\0body", "x" * 5000)
    ]
    bodies = {answer.content for answer in answers}
    headers = {
        tuple((k, v) for k, v in answer.headers.items() if k != "date") for answer in answers
    }
    assert len(bodies) == len(headers) == 1
    assert problem(answers[0]) == {
        "type": "urn:problem-type:ordergate:invalid-grant",
        "title": "Bad Request",
        "status": 400,
        "detail": "Incorrect username or password",
        "error": "invalid_grant",
        "error_description": "Incorrect username or password",
        "request_id": "the-same",
    }


@pytest.mark.parametrize(
    ("form", "error", "detail"),
    [
        ("", "invalid_request", "The form field username is missing."),
        ("username=user1", "invalid_request", "The form field password is missing."),
        ("username=&password=x", "invalid_request", "The form field username is missing."),
        ("username=user1&pasword=x", "invalid_request", "The form field password is missing."),
        (
            "username=a&username=b&password=x",
            "invalid_request",
            "A form field is repeated; send each once.",
        ),
        (
            "username=a&password=100%",
            "invalid_request",
            "A % in the form must be written as %25.",
        ),
        (
            "username=a&password=%ED%A0%80",
            "invalid_request",
            "The body is not a well-formed application/x-www-form-urlencoded in UTF-8.",
        ),
        (
            "username=a&password",
            "invalid_request",
            "The body is not a well-formed application/x-www-form-urlencoded in UTF-8.",
        ),
        (
            "&".join(f"f{i}=1" for i in range(40)),
            "invalid_request",
            "A form must have at most 32 fields.",
        ),
        (
            "grant_type=client_credentials",
            "unsupported_grant_type",
            "The only grant types here are password and refresh_token.",
        ),
        (
            "username=a&password=x&scope=%22",
            "invalid_scope",
            "A scope is unknown or was not granted; available: orders:read orders:write account.",
        ),
        (
            "username=a&password=x&client_id=%C3%A9",
            "invalid_request",
            "A client_id must have 1 to 255 printable ASCII characters.",
        ),
    ],
)
async def test_invalid_login_request_gets_its_oauth_error_code(
    client: httpx.AsyncClient, form: str, error: str, detail: str
) -> None:
    response = await client.post(
        "/login", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert response.status_code == 400
    body = problem(response)
    assert (body["error"], body["error_description"], body["detail"]) == (error, detail, detail)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"username=\xed\xa0\x80&password=x"])
async def test_form_with_invalid_utf_8_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post(
        "/login", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert response.status_code == 400
    assert problem(response)["error"] == "invalid_request"


@pytest.mark.parametrize(
    "password", ["a\0b", "x" * 4096, "x" * 5000, "é" * 4096, "🗝" * 9, "\uffff", "\u202e"]
)
async def test_any_wrong_password_is_refused(client: httpx.AsyncClient, password: str) -> None:
    response = await client.post("/login", data={"username": "user1", "password": password})
    assert response.status_code == 400
    assert problem(response)["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "media_type", ["application/json", "multipart/form-data", "text/plain", ""]
)
async def test_login_accepts_a_form_alone(client: httpx.AsyncClient, media_type: str) -> None:
    response = await client.post("/login", content=b"{}", headers={"Content-Type": media_type})
    assert response.status_code == 415
    assert problem(response)["error"] == "invalid_request"


def basic(credentials: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}


@pytest.mark.parametrize("credentials", [":", "shop:", "my%20shop:", "  shop:"])
async def test_client_id_may_be_sent_by_http_basic(
    client: httpx.AsyncClient, credentials: str
) -> None:
    form = {"username": "user1", "password": PASSWORD}
    response = await client.post("/login", data=form, headers=basic(credentials))
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        ({}, basic("shop:secret"), 401, "invalid_client"),
        ({"client_id": "shop", "client_secret": "secret"}, {}, 401, "invalid_client"),
        ({"client_id": "shop"}, basic("stall:"), 400, "invalid_request"),
        ({}, basic("no colon"), 400, "invalid_request"),
        ({}, basic("%zz:"), 400, "invalid_request"),
        ({}, {"Authorization": "Basic %"}, 400, "invalid_request"),
    ],
)
async def test_client_secrets_are_refused(
    client: httpx.AsyncClient,
    form: dict[str, str],
    headers: dict[str, str],
    status: int,
    error: str,
) -> None:
    data = {"username": "user1", "password": PASSWORD, **form}
    response = await client.post("/login", data=data, headers=headers)
    assert response.status_code == status
    assert problem(response)["error"] == error


# Read your own order


@pytest.mark.parametrize("address", ["/order?id=1", "/orders/1"])
async def test_owner_reads_the_order(client: httpx.AsyncClient, address: str) -> None:
    response = await client.get(address, headers=await sign_in(client))
    assert response.status_code == 200
    assert response.headers["cache-control"] == "private, no-cache, no-transform"
    assert response.headers["vary"] == "Authorization, Origin"
    assert response.headers["etag"] == '"1"'
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "id": 1,
        "status": "paid",
        "placed_at": "2026-01-01T09:00:01Z",
        "currency": "EUR",
        "total": "69.60",
        "lines": [
            {"sku": "TEA-SENCHA-100", "name": "Sencha, 100 g", "quantity": 2, "unit_price": "9.80"},
            {"sku": "CUP-PORCELAIN", "name": "Porcelain cup", "quantity": 4, "unit_price": "12.50"},
        ],
    }


@pytest.mark.parametrize("pattern", ["/order?id={}", "/orders/{}"])
async def test_order_of_another_owner_is_answered_like_a_missing_one(
    client: httpx.AsyncClient, pattern: str
) -> None:
    headers = await sign_in(client) | {"X-Request-ID": "the-same"}
    answers = [
        await client.get(pattern.format(order_id), headers=headers) for order_id in (2, 999, MAX)
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple((k, v) for k, v in a.headers.items() if k != "date") for a in answers}) == 1
    assert problem(answers[0])["detail"] == "You have no order with this id."


async def test_users_read_their_own_orders_alone(client: httpx.AsyncClient) -> None:
    for number in (1, 2, 3):
        headers = await sign_in(client, f"user{number}")
        readable = [
            order_id
            for order_id in range(1, 31)
            if (await client.get(f"/orders/{order_id}", headers=headers)).status_code == 200
        ]
        assert readable == list(range(number, 31, 3))


BAD_IDS = [
    "0", "-1", "+1", "01", "1.0", "1e3", "0x1", "1_0", " 1", "1 ", "%201", "%00", "1%00",
    "%ED%A0%80", "true", "null", "abc", "%D9%A1", str(MAX + 1), "9" * 5000, "1%0A", "[1]", "1,2",
]  # fmt: skip


@pytest.mark.parametrize("order_id", [*BAD_IDS, ""])
async def test_invalid_order_id_is_named(client: httpx.AsyncClient, order_id: str) -> None:
    response = await client.get(f"/order?id={order_id}", headers=await sign_in(client))
    assert response.status_code == 422
    detail = "must be a whole number from 1 to 9223372036854775807"
    body = problem(response)
    assert body["errors"] == [{"in": "query", "name": "id", "detail": detail}]
    assert body["detail"] == f"id {detail}"


@pytest.mark.parametrize("order_id", [each for each in BAD_IDS if each != "1%0A"])
async def test_order_id_in_the_path_has_the_same_rules(
    client: httpx.AsyncClient, order_id: str
) -> None:
    response = await client.get(f"/orders/{order_id}", headers=await sign_in(client))
    assert response.status_code == 422
    errors = problem(response)["errors"]
    assert isinstance(errors, list)
    assert [(error["in"], error["name"]) for error in errors] == [("path", "id")]


async def test_path_that_ends_in_a_line_feed_is_not_found(client: httpx.AsyncClient) -> None:
    response = await client.get("/orders/1%0A", headers=await sign_in(client))
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("/order", ["id"]),
        ("/order?Id=1", ["Id"]),
        ("/order?id=1&id=1", ["id"]),
        ("/order?id=1&page=2", ["page"]),
        ("/orders/1?id=1", ["id"]),
        ("/order?id=1&access_token=x", ["access_token"]),
        ("/livez?x", ["x"]),
    ],
)
async def test_missing_repeated_or_misspelt_parameter_is_named(
    client: httpx.AsyncClient, address: str, names: list[str]
) -> None:
    response = await client.get(address, headers=await sign_in(client))
    assert response.status_code == 422
    errors = problem(response)["errors"]
    assert isinstance(errors, list)
    assert sorted({error["name"] for error in errors}) == names


async def test_long_value_is_not_repeated(client: httpx.AsyncClient) -> None:
    response = await client.get(f"/order?id={'7' * 3000}", headers=await sign_in(client))
    assert len(response.content) < 500


async def test_many_wrong_parameters_get_a_short_answer(client: httpx.AsyncClient) -> None:
    query = "&".join(f"x{i}=1" for i in range(30))
    response = await client.get(f"/order?{query}", headers=await sign_in(client))
    assert response.status_code == 422
    errors = problem(response)["errors"]
    assert isinstance(errors, list)
    assert [error["name"] for error in errors] == [f"x{i}" for i in range(8)]


# Bearer tokens


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic Og=="},
        {"Authorization": "Bearer"},
    ],
)
async def test_missing_token_gets_a_bare_challenge(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await client.get("/order?id=abc", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    problem(response)


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "é", "\xa0x", "x" * 10_000, "a b", "..", "eyJhbGciOiJub25lIn0.e30."]
)
async def test_untrusted_token_is_answered_invalid_token(
    client: httpx.AsyncClient, token: str
) -> None:
    response = await client.get(
        "/order?id=1", headers=[(b"Authorization", b"Bearer " + token.encode())]
    )
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert problem(response)["error"] == "invalid_token"


async def test_token_with_one_changed_character_is_refused(client: httpx.AsyncClient) -> None:
    token = (await sign_in(client))["Authorization"]
    for position in (10, len(token) // 2, len(token) - 5):
        changed = (
            token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        )
        response = await client.get("/order?id=1", headers={"Authorization": changed})
        assert response.status_code == 401


async def test_scheme_is_read_in_any_case(client: httpx.AsyncClient) -> None:
    token = (await sign_in(client))["Authorization"].removeprefix("Bearer ")
    response = await client.get("/order?id=1", headers={"Authorization": f"bearer {token}"})
    assert response.status_code == 200


async def test_repeated_authorization_is_refused(client: httpx.AsyncClient) -> None:
    token = (await sign_in(client))["Authorization"]
    twice = [("Authorization", token), ("Authorization", token)]
    response = await client.get("/order?id=1", headers=twice)
    assert response.status_code == 400
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_request"'
    assert problem(response)["error"] == "invalid_request"
    form = {"username": "user1", "password": PASSWORD}
    assert (await client.post("/login", data=form, headers=twice)).status_code == 400


# Hygiene


@pytest.mark.parametrize(
    "address", ["/nothing", "/orders/", "/orders/1/", "/%00", "/docs/secret", "//", "/order/"]
)
async def test_unknown_path_is_answered_with_a_problem(
    client: httpx.AsyncClient, address: str
) -> None:
    response = await client.get(httpx.URL(str(client.base_url).rstrip("/") + address))
    assert response.status_code == (422 if address == "/docs/secret" else 404)
    problem(response)


@pytest.mark.parametrize(
    ("method", "address", "allow"),
    [
        ("GET", "/login", "POST"),
        ("POST", "/order?id=1", "GET"),
        ("DELETE", "/orders/1", "GET"),
        ("PUT", "/orders", "GET, POST"),
        ("GET", "/orders/1/cancel", "POST"),
    ],
)
async def test_unsupported_method_is_answered_with_the_supported_ones(
    client: httpx.AsyncClient, method: str, address: str, allow: str
) -> None:
    response = await client.request(method, address)
    assert response.status_code == 405
    assert response.headers["allow"] == allow
    problem(response)


@pytest.mark.parametrize(
    ("address", "kind"),
    [("/login", "application/x-www-form-urlencoded"), ("/users", "application/json")],
)
async def test_body_size_is_limited(client: httpx.AsyncClient, address: str, kind: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(270):
            yield b"x" * 1024

    headers = {"Content-Type": kind}
    for content in (b"x" * 270_000, chunks()):
        response = await client.post(address, content=content, headers=headers)
        assert response.status_code == 413
        body = problem(response)
        assert body["title"] == "Content Too Large"
        assert body["detail"] == "The request body is too large."
    response = await client.post(address, content=b"a=" + b"x" * 262_142, headers=headers)
    assert response.status_code == 400


@pytest.mark.parametrize("given", ["abc", "A-b_c.9", "x" * 64])
async def test_request_id_is_accepted_and_returned(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given", [None, "", "x" * 65, "a b", "<script>", "é".encode().decode("latin-1")]
)
async def test_any_other_request_id_is_replaced(
    client: httpx.AsyncClient, given: str | None
) -> None:
    headers = {} if given is None else {b"X-Request-ID": given.encode("latin-1")}
    first = await client.get("/livez", headers=headers)
    second = await client.get("/livez", headers=headers)
    assert re.fullmatch("[0-9a-f]{32}", first.headers["x-request-id"])
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


@pytest.mark.parametrize("address", ["/livez", "/nothing", "/order?id=1", "/docs"])
async def test_answers_have_security_headers(client: httpx.AsyncClient, address: str) -> None:
    headers = (await client.get(address)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "server" not in headers


@pytest.mark.parametrize("address", ["/livez", "/readyz"])
async def test_health_routes_answer(client: httpx.AsyncClient, address: str) -> None:
    response = await client.get(address)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response.headers["cache-control"] == "no-store"


# Discovery


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


# Documentation


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


async def test_token_times_match_the_answer(client: httpx.AsyncClient) -> None:
    token = (await sign_in(client))["Authorization"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    assert set(claims) == {
        "iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti", "sid",
    }  # fmt: skip
    assert (claims["iss"], claims["aud"], claims["sub"], claims["client_id"]) == (
        "http://127.0.0.1:8000", "ordergate", "1", "first-party",
    )  # fmt: skip
    assert claims["exp"] - claims["iat"] == 900
    assert abs(datetime.fromtimestamp(claims["iat"], UTC) - datetime.now(UTC)) < timedelta(
        minutes=1
    )
