"""Tokens as large issuers write them, with the settings of docs/identity-provider.md."""

import json
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx2
import pytest
from fastapi import APIRouter

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import InvalidToken
from ordergate.entrypoints.config.environment import PREFIX
from ordergate.entrypoints.config.loading import load_settings
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.security import CurrentUser
from tests.support.tokens.issuer_shapes import AUDIENCE, ISSUER, SHAPES, Claims, without
from tests.support.tokens.jose import private_key, public_jwk, sign
from tests.support.tokens.oidc_issuer import Issuer, running_issuer

PAGE = (Path(__file__).parents[3] / "docs" / "identity-provider.md").read_text()
SECONDS = 30


def blocks_of_settings() -> dict[str, str]:
    """Return the blocks that set an identity provider.

    The keys are the section and the kind of token.
    """
    found: dict[str, str] = {}
    further = {"Microsoft Entra": ", version 1", "Google": ", both spellings"}
    for section in PAGE.split("\n## ")[1:]:
        title = section.partition("\n")[0]
        for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL):
            if "ORDERGATE_IDENTITY_PROVIDER" in block:
                found[title + further[title] if title in found else title] = block
    return found


BLOCKS = blocks_of_settings()


def run_block(block: str) -> dict[str, str]:
    """Return the variables that a block exports."""
    printed = subprocess.run(
        ["bash", "-euc", f"{block}\nenv -0"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    ).stdout
    variables = dict(each.split("=", 1) for each in printed.split("\0") if each)
    return {name: value for name, value in variables.items() if name.startswith(PREFIX)}


def load(variables: dict[str, str]) -> Settings:
    with patch.dict(os.environ, variables):
        return load_settings({})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


def settle(block: str, issuer: Issuer) -> Settings:
    """Read a block's settings, with the fake issuer for the real host."""
    variables = run_block(block)
    load(variables)
    for name in ("ORDERGATE_ISSUER", "ORDERGATE_JWKS_URL"):
        if name in variables:
            variables[name] = re.sub(r"https://[^/,]+", issuer.address, variables[name])
    if "ORDERGATE_JWKS_URL" in variables:
        variables["ORDERGATE_JWKS_URL"] = issuer.url
    return load(variables)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve orders, and a route of one's own that needs no scope."""
    app = create_app(Container(settings=settings, storage=InMemoryStorage()))
    own = APIRouter()

    @own.get("/who")
    async def who(user: CurrentUser) -> dict[str, Any]:
        return {"client": user.client_id, "scope": sorted(user.scope)}

    app.include_router(own)
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client,
    ):
        yield client


def write_token(settings: Settings, claims: Claims, header: Claims) -> str:
    """Sign claims with RS256, the algorithm of most issuers."""
    now = int(time.time())
    filled = json.loads(
        json.dumps({name: now if value is ... else value for name, value in claims.items()})
        .replace(ISSUER, settings.issuers[-1])
        .replace(AUDIENCE, settings.audiences[-1])
    )
    payload = json.dumps({**filled, "iat": now, "exp": now + 3600}).encode()
    return sign("RS256", payload, key=private_key("RS256"), kid="current", **header)


async def get(client: httpx2.AsyncClient, path: str, token: str) -> httpx2.Response:
    return await client.get(path, headers={"Authorization": f"Bearer {token}"})


def test_page_has_settings_for_each_kind_of_issuer() -> None:
    assert BLOCKS.keys() == SHAPES.keys() | {"Several issuers"}


@pytest.mark.parametrize("kind", SHAPES)
async def test_documented_settings_accept_access_tokens_alone(kind: str, issuer: Issuer) -> None:
    shape, settings = SHAPES[kind], settle(BLOCKS[kind], issuer)
    issuer.keys = [public_jwk("RS256", kid="current", **shape.jwk)]
    issuer.publish_metadata(settings.issuers[0])
    async with serving(settings) as client:

        async def status(path: str, claims: Claims) -> int:
            token = write_token(settings, claims, shape.header)
            return (await get(client, path, token)).status_code

        assert await status("/orders", shape.access) == 200
        assert await status("/who", shape.access) == 200
        assert await status("/orders", shape.unscoped) == 403
        assert await status("/who", shape.unscoped) == 200
        if shape.id_token is not None:
            assert AUDIENCE in str(shape.id_token), "the audience is no reason to refuse it"
            assert await status("/who", shape.id_token) == 401
        for wrong in (
            {"iss": settings.issuers[0].upper()},
            {"iss": settings.issuers[0].rstrip("/") + "//"},
            {"aud": "another", "client_id": "another"},
        ):
            assert await status("/who", shape.access | wrong) == 401


@pytest.mark.parametrize(
    "scope", [None, 5, True, "", [], {}, [5, None], {"a": 1}, "  ", "\0", ["a b"], 1.5]
)
@pytest.mark.parametrize("kind", ["Microsoft Entra", "Okta", "Any other issuer"])
async def test_unusable_scope_is_no_reason_to_refuse_a_token(
    kind: str, scope: object, issuer: Issuer
) -> None:
    shape, settings = SHAPES[kind], settle(BLOCKS[kind], issuer)
    issuer.keys = [public_jwk("RS256", kid="current")]
    issuer.publish_metadata(settings.issuers[0])
    claims = shape.access | {name: scope for name in ("scope", "scp") if name in shape.access}
    token = write_token(settings, claims, shape.header)
    async with serving(settings) as client:
        assert (await get(client, "/who", token)).status_code == 200
        assert (await get(client, "/orders", token)).status_code == 403


async def test_application_of_entra_has_its_app_roles_as_scopes(issuer: Issuer) -> None:
    shape, settings = SHAPES["Microsoft Entra"], settle(BLOCKS["Microsoft Entra"], issuer)
    issuer.keys = [public_jwk("RS256", kid="current", **shape.jwk)]
    issuer.publish_metadata(settings.issuers[0])
    claims = without(shape.access, "scp", "name", roles=["Orders.ReadWrite"], idtyp="app")
    async with serving(settings) as client:
        answer = await get(client, "/who", write_token(settings, claims, shape.header))
    assert answer.json()["scope"] == ["orders:read", "orders:write"]


async def test_id_token_of_entra_with_roles_is_refused(issuer: Issuer) -> None:
    shape, settings = SHAPES["Microsoft Entra"], settle(BLOCKS["Microsoft Entra"], issuer)
    issuer.keys = [public_jwk("RS256", kid="current", **shape.jwk)]
    issuer.publish_metadata(settings.issuers[0])
    claims = without(shape.access, "scp", "azp", "azpacr", roles=["Orders.ReadWrite"], nonce="n")
    async with serving(settings) as client:
        answer = await get(client, "/who", write_token(settings, claims, shape.header))
    assert answer.status_code == 401


async def test_cognito_token_for_a_resource_has_its_audience(issuer: Issuer) -> None:
    """With a resource (RFC 8707), the client is no audience."""
    shape, settings = SHAPES["Amazon Cognito"], settle(BLOCKS["Amazon Cognito"], issuer)
    issuer.keys = [public_jwk("RS256", kid="current")]
    issuer.publish_metadata(settings.issuers[0])
    async with serving(settings) as client:
        for audience, status in ((AUDIENCE, 200), ("https://another.example", 401)):
            token = write_token(settings, {**shape.access, "aud": audience}, {})
            assert (await get(client, "/who", token)).status_code == status


async def test_tokens_of_several_issuers_have_their_own_accounts() -> None:
    with running_issuer() as auth0, running_issuer() as kubernetes:
        variables = run_block(BLOCKS["Several issuers"])
        assert load(variables).identity_provider == ("auth0", "kubernetes")
        auth0.publish_metadata(f"{auth0.address}/")
        kubernetes.publish_metadata(kubernetes.address)
        variables["ORDERGATE_ISSUER"] = f"{auth0.name}, {kubernetes.name}"
        settings = load(variables)
        now = {"iat": int(time.time()), "exp": int(time.time()) + 900}
        claims = {"aud": settings.audiences[0], "sub": "alice", "scope": "orders:read", **now}
        storage = InMemoryStorage()
        verifier = Container(settings=settings, storage=storage).verifier()
        callers = [
            await verifier.verify(issuer.sign({**claims, "iss": issuer.name}, typ="JWT"))
            for issuer in (auth0, kubernetes)
        ]
        assert len({caller.id for caller in callers}) == 2
        unknown = "iss is another issuer"
        for other, reason in (
            (kubernetes.name, "kid names no known key"),
            ("https://another.example", unknown),
            (None, unknown),
            (5, unknown),
        ):
            token = auth0.sign({**claims, "iss": other}, typ="JWT")
            with pytest.raises(InvalidToken, match=reason):
                await verifier.verify(token)
