"""POST /login: sign in with a name and a password."""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx2
import pytest

from tests.support.api.http_client import problem, sign_in
from tests.support.program.command import PASSWORD


async def test_name_and_password_give_a_bearer_token(client: httpx2.AsyncClient) -> None:
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
    client: httpx2.AsyncClient, more: Mapping[str, str]
) -> None:
    form = {"username": "USER1", "password": PASSWORD, **more}
    assert (await client.post("/login", data=form)).status_code == 200


async def test_wrong_password_and_unknown_user_get_the_same_answer(
    client: httpx2.AsyncClient,
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
        "detail": "Incorrect username or password.",
        "error": "invalid_grant",
        "error_description": "Incorrect username or password.",
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
            "The form field username is repeated; send it once.",
        ),
        (
            "username=a&password=x&scope&scope=account",
            "invalid_request",
            "The form field scope is repeated; send it once.",
        ),
        ("username=a&password", "invalid_request", "The form field password is missing."),
        ("username=a&=x", "invalid_request", "The form field password is missing."),
        ("&&&", "invalid_request", "The form field username is missing."),
        (
            "username=a&password=%ED%A0%80",
            "invalid_request",
            "The body is not a well-formed application/x-www-form-urlencoded in UTF-8.",
        ),
        (
            "&".join(f"f{i}=1" for i in range(1_001)),
            "invalid_request",
            "A form must have at most 1000 fields.",
        ),
        (
            "grant_type=client_credentials",
            "unsupported_grant_type",
            "The only grant types here are password and refresh_token.",
        ),
        (
            "username=a&password=x&scope=%22",
            "invalid_scope",
            "A scope is unknown or was not granted; available: account orders:read orders:write.",
        ),
        (
            "username=a&password=x&client_id=%C3%A9",
            "invalid_request",
            "A client_id must have 1 to 255 printable ASCII characters.",
        ),
    ],
)
async def test_invalid_login_request_gets_its_oauth_error_code(
    client: httpx2.AsyncClient, form: str, error: str, detail: str
) -> None:
    response = await client.post(
        "/login", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert response.status_code == 400
    body = problem(response)
    assert (body["error"], body["error_description"], body["detail"]) == (error, detail, detail)


@pytest.mark.parametrize(
    "form",
    [
        "{}&",
        "&&{}&&scope",
        "{}&=&client_id=",
        "resource=a&resource=b&{}&resource=a&trace",
        "{}" + "&nonce=1" * 900,
        "%75sername=user1&%70assword={password}",
    ],
)
async def test_form_is_read_as_the_url_standard_says(client: httpx2.AsyncClient, form: str) -> None:
    password = PASSWORD.replace(" ", "+")
    text = form.format(f"username=user1&password={password}", password=password)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post("/login", content=text, headers=headers)
    assert answer.status_code == 200, answer.text
    token = answer.json()["refresh_token"]
    revoked = await client.post("/revoke", content=f"&hint&hint&token={token}&", headers=headers)
    assert revoked.status_code == 200
    repeated = await client.post("/revoke", content="token=a&token=b", headers=headers)
    assert problem(repeated)["detail"] == "The form field token is repeated; send it once."


@pytest.mark.parametrize("percent", ["100%", "%zz", "%25%"])
async def test_percent_sign_that_encodes_nothing_stands_for_itself(
    client: httpx2.AsyncClient, percent: str
) -> None:
    password = f"a password of {unquote(percent)} length"
    account = {"username": f"user-{uuid4().hex}", "password": password}
    assert (await client.post("/users", json=account)).status_code == 201
    text = f"username={account['username']}&password=a+password+of+{percent}+length"
    answer = await client.post(
        "/login", content=text, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("body", [b"\xff\xfe", b"username=\xed\xa0\x80&password=x"])
async def test_form_with_invalid_utf_8_is_refused(client: httpx2.AsyncClient, body: bytes) -> None:
    response = await client.post(
        "/login", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert response.status_code == 400
    assert problem(response)["error"] == "invalid_request"


@pytest.mark.parametrize(
    "password", ["a\0b", "x" * 4096, "x" * 5000, "é" * 4096, "🗝" * 9, "\uffff", "\u202e"]
)
async def test_any_wrong_password_is_refused(client: httpx2.AsyncClient, password: str) -> None:
    response = await client.post("/login", data={"username": "user1", "password": password})
    assert response.status_code == 400
    assert problem(response)["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "media_type", ["application/json", "multipart/form-data", "text/plain", ""]
)
async def test_login_accepts_a_form_alone(client: httpx2.AsyncClient, media_type: str) -> None:
    response = await client.post("/login", content=b"{}", headers={"Content-Type": media_type})
    assert response.status_code == 415
    assert problem(response)["error"] == "invalid_request"


def basic(credentials: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}


@pytest.mark.parametrize("credentials", [":", "shop:", "my%20shop:", "  shop:"])
async def test_client_id_may_be_sent_by_http_basic(
    client: httpx2.AsyncClient, credentials: str
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
    client: httpx2.AsyncClient,
    form: dict[str, str],
    headers: dict[str, str],
    status: int,
    error: str,
) -> None:
    data = {"username": "user1", "password": PASSWORD, **form}
    response = await client.post("/login", data=data, headers=headers)
    assert response.status_code == status
    assert problem(response)["error"] == error


async def test_token_times_match_the_answer(client: httpx2.AsyncClient) -> None:
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


@pytest.mark.parametrize("path", ["/login", "/revoke"])
@pytest.mark.parametrize(
    ("status", "method", "suffix", "request_parts"),
    [
        (400, "POST", "", {"data": {"grant_type": "password", "username": "user1"}}),
        (405, "GET", "", {}),
        (413, "POST", "", {"content": b"x" * 2_000_000}),
        (415, "POST", "", {"json": {}}),
        (422, "POST", "?page=1", {"data": {"token": "x"}}),
    ],
)
async def test_errors_of_oauth_endpoints_are_plain_json(
    client: httpx2.AsyncClient,
    *,
    path: str,
    status: int,
    method: str,
    suffix: str,
    request_parts: dict[str, Any],
) -> None:
    answer = await client.request(method, f"{path}{suffix}", **request_parts)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert {"type", "title", "detail", "request_id"} <= answer.json().keys()
