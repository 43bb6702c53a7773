"""One line of the log for each refused token."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import jwt
import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.adapters.tokens.jws import MAX_TOKEN_LENGTH
from ordergate.application.ports.tokens import Caller
from ordergate.domain.user import UserId
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.problems.catalog import MAX_HEAD_BYTES
from ordergate.entrypoints.http.security import OptionalUser
from tests.support.program.command import wait_until
from tests.support.tokens.jose import public_jwk, sign
from tests.support.tokens.oidc_issuer import AUDIENCE, Issuer, running_issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        issuer.publish_metadata()
        yield issuer


def settings_for(issuer: Issuer, **more: Any) -> Settings:
    return Settings(
        identity_provider=("oidc",),
        issuer=issuer.name,
        audience=AUDIENCE,
        log_level="debug",
        **more,
    )


@pytest.fixture
async def client(issuer: Issuer) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(Container(settings=settings_for(issuer), storage=InMemoryStorage()))

    @app.get("/maybe")
    async def maybe(user: OptionalUser) -> bool:
        return user is not None

    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://in.process"
        ) as client,
    ):
        yield client


async def send(client: httpx2.AsyncClient, token: str, path: str = "/orders") -> int:
    headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "a-request"}
    return (await client.get(path, headers=headers)).status_code


def refusals(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(line) for line in caplog.records if line.getMessage() == "token_refused"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://other.example"}, "iss is another issuer"),
        ({"aud": "other"}, "aud is another audience"),
        ({"typ": "JWT"}, "typ is not that of an access token of this issuer"),
        ({"kid": "other"}, "kid names no known key"),
        ({"exp": 1}, "exp has passed"),
        ({"iat": 2**40}, "iat is in the future"),
        ({"sub": ...}, "sub is missing or not text"),
        ({"scope": "openid"}, "the scope lacks orders:read"),
    ],
    ids=str,
)
async def test_refused_token_is_logged_once(
    client: httpx2.AsyncClient,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    reason: str,
) -> None:
    caplog.set_level(logging.DEBUG, logger="ordergate.tokens")
    token = issuer.token(**changes)
    status = 403 if "scope" in changes else 401
    assert await send(client, token) == status
    (line,) = refusals(caplog)
    assert (line["levelname"], line["request_id"]) == ("INFO", "a-request")
    assert (line["reason"], line["iss"]) == (reason, changes.get("iss", issuer.name))
    assert line["kid"] == changes.get("kid", issuer.keys[0]["kid"])
    for record in caplog.records:
        for part in token.split("."):
            assert part not in str(vars(record))


@pytest.mark.parametrize("token", ["no token", "a.b.c", "e30.e30.AA", "x" * 9000])
async def test_malformed_token_is_logged_without_names(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="ordergate.tokens")
    assert await send(client, token) == 401
    (line,) = refusals(caplog)
    assert (line["kid"], line["iss"]) == (None, None)
    assert token not in str([vars(record) for record in caplog.records])


async def test_names_of_a_forged_token_are_shortened(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="ordergate.tokens")
    forged = sign("EdDSA", b'{"iss":"' + b"i" * 20_000 + b'"}', kid="k" * 20_000)
    assert await send(client, forged) == 401
    (line,) = refusals(caplog)
    assert (line["kid"], line["iss"]) == ("k" * 255, "i" * 255)


async def test_refusal_for_an_optional_caller_is_logged(
    client: httpx2.AsyncClient, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="ordergate.tokens")
    assert await send(client, issuer.token(exp=1), "/maybe") == 401
    assert [line["reason"] for line in refusals(caplog)] == ["exp has passed"]


async def test_key_of_a_token_of_an_ended_session_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="ordergate.tokens")
    settings = Settings(signing_secret="a secret of more than thirty-two bytes")
    container = Container(settings=settings, storage=InMemoryStorage())
    token = container.tokens().issue(Caller(UserId(1), "tests", frozenset({"orders:read"}))).value
    transport = httpx2.ASGITransport(create_app(container))
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        assert await send(client, token) == 401
    (line,) = refusals(caplog)
    assert (line["reason"], line["kid"], line["iss"]) == (
        "its session has ended",
        jwt.get_unverified_header(token)["kid"],
        settings.issuer,
    )


async def test_accepted_and_missing_tokens_are_not_logged(
    client: httpx2.AsyncClient, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="ordergate.tokens")
    assert await send(client, issuer.token()) == 200
    assert (await client.get("/orders")).status_code == 401
    assert refusals(caplog) == []


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
async def test_level_of_the_line_is_a_setting(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, level: Any
) -> None:
    caplog.set_level(logging.DEBUG, logger="ordergate.tokens")
    settings = settings_for(issuer, refused_token_log_level=level)
    app = create_app(Container(settings=settings, storage=InMemoryStorage()))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        await send(client, "x")
    assert [line["levelname"] for line in refusals(caplog)] == [level.upper()]


async def test_unusable_keys_are_named_at_the_start(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.keys.append(public_jwk("RS256", kid="enc", use="enc"))
    app = create_app(Container(settings=settings_for(issuer), storage=InMemoryStorage()))
    async with app.router.lifespan_context(app):
        await asyncio.to_thread(wait_until, lambda: "keys_left_out" in caplog.text)
    (line,) = (vars(each) for each in caplog.records if each.getMessage() == "keys_left_out")
    assert line["reasons"] == ["key 1, kid 'enc': use is not sig"]
    assert line["issuer"] == issuer.name


async def test_token_is_as_long_as_a_head_may_be(
    client: httpx2.AsyncClient, issuer: Issuer
) -> None:
    """A user in many groups has a token of tens of kilobytes."""
    assert MAX_TOKEN_LENGTH == MAX_HEAD_BYTES
    groups = [f"group-{number:08}" for number in range(2_500)]
    token = issuer.token(groups=groups)
    assert 40_000 < len(token) < MAX_HEAD_BYTES
    assert await send(client, token) == 200
