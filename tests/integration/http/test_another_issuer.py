"""Tokens of a real other issuer on loopback, at the HTTP surface."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ordergate.adapters.memory import InMemoryStorage, Tables
from ordergate.adapters.tokens.external_token_verifier import (
    MAX_KNOWN_SUBJECTS,
    ExternalTokenVerifier,
)
from ordergate.adapters.tokens.remote.remote_key_set import RemoteKeySet
from ordergate.application.errors import InvalidToken
from ordergate.application.ports.tokens import Caller
from ordergate.domain.user import UserId
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.testing import create
from tests.support.doubles import InstantPasswordHasher
from tests.support.program.command import PASSWORD, SECONDS, ordergate, wait_until
from tests.support.program.server import Start
from tests.support.tokens.jose import encode, signature, to_jwk
from tests.support.tokens.oidc_issuer import AUDIENCE, Issuer, running_issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def container(issuer: Issuer) -> Container:
    settings = Settings(jwks_url=(issuer.url,), issuer=issuer.name, audience=AUDIENCE)
    return Container(settings=settings, storage=InMemoryStorage(), hasher=InstantPasswordHasher())


def tables(container: Container) -> Tables:
    storage = container.storage()
    assert isinstance(storage, InMemoryStorage)
    return storage.tables


@pytest.fixture
async def client(container: Container) -> AsyncIterator[httpx2.AsyncClient]:
    await container.seed_storage()(users=2, orders=4, password=PASSWORD)
    app = create_app(container)
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client,
    ):
        yield client


async def read(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.get("/order?id=1", headers={"Authorization": f"Bearer {token}"})


def problem_type(answer: httpx2.Response) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


# Callers


async def test_subject_reads_the_orders_of_its_account(
    client: httpx2.AsyncClient, container: Container, issuer: Issuer
) -> None:
    tables(container).subjects[issuer.name, "auth0|alice"] = UserId(1)
    answer = await read(client, issuer.token())
    assert answer.status_code == 200
    assert answer.json()["id"] == 1
    assert (await read(client, issuer.token("auth0|bob"))).status_code == 404


async def test_new_subject_has_a_new_account_without_orders(
    client: httpx2.AsyncClient, container: Container, issuer: Issuer
) -> None:
    answers = await asyncio.gather(*(read(client, issuer.token("new")) for _ in range(20)))
    assert {(answer.status_code, problem_type(answer)) for answer in answers} == {
        (404, "order-not-found")
    }
    assert tables(container).subjects == {(issuer.name, "new"): 3}


@pytest.mark.parametrize(
    ("claims", "caller"),
    [
        ({}, Caller(UserId(1), "shop", frozenset({"openid", "orders:read"}))),
        ({"client_id": "app"}, Caller(UserId(1), "app", frozenset({"openid", "orders:read"}))),
        ({"azp": ..., "scope": ...}, Caller(UserId(1), "external")),
    ],
    ids=["azp", "client_id", "neither"],
)
async def test_caller_has_the_claims_of_the_token(
    container: Container, issuer: Issuer, claims: dict[str, Any], caller: Caller
) -> None:
    assert await container.verifier().verify(issuer.token(**claims)) == caller


async def test_subject_is_looked_up_once(container: Container, issuer: Issuer) -> None:
    verifier = container.verifier()
    first = await verifier.verify(issuer.token())
    tables(container).subjects.clear()
    assert await verifier.verify(issuer.token()) == first
    assert tables(container).subjects == {}


async def test_cache_of_subjects_is_bounded(container: Container, issuer: Issuer) -> None:
    verifier = container.verifier()
    assert isinstance(verifier, ExternalTokenVerifier)
    await verifier.verify(issuer.token("the oldest"))
    verifier._known |= {
        (issuer.name, f"subject {i}"): UserId(i) for i in range(1, MAX_KNOWN_SUBJECTS)
    }
    await verifier.verify(issuer.token("the newest"))
    assert len(verifier._known) == MAX_KNOWN_SUBJECTS
    assert (issuer.name, "the oldest") not in verifier._known
    assert (issuer.name, "the newest") in verifier._known


# Accepted tokens


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "JWT"},
        {"typ": ...},
        {"typ": "id+jwt"},
        {"iss": "https://evil.example/"},
        {"aud": "another API"},
        {"aud": ...},
        {"exp": 1},
        {"exp": ...},
        {"iat": 2**40},
        {"nbf": 2**40},
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "a\0b"},
        {"sub": "\ud800"},
        {"client_id": 7},
        {"azp": ""},
        {"kid": "another"},
        {"kid": 7},
    ],
    ids=str,
)
async def test_token_is_refused_when_its_time_issuer_or_audience_is_wrong(
    client: httpx2.AsyncClient, container: Container, issuer: Issuer, changes: dict[str, Any]
) -> None:
    answer = await read(client, issuer.token(**changes))
    assert (answer.status_code, problem_type(answer)) == (401, "invalid-token")
    assert tables(container).subjects == {}


async def test_issuer_is_compared_exactly(client: httpx2.AsyncClient, issuer: Issuer) -> None:
    assert (await read(client, issuer.token(iss=issuer.address))).status_code == 401
    assert (await read(client, issuer.token(iss=f"{issuer.address}/"))).status_code == 404


@pytest.mark.parametrize(
    ("typ", "accepted"),
    [
        ("at+jwt", True),
        ("JWT", True),
        ("application/jwt", True),
        (..., True),
        ("id+jwt", False),
        (None, False),
        (["JWT"], False),
    ],
)
async def test_setting_accepts_tokens_without_a_type(
    container: Container, issuer: Issuer, typ: object, accepted: bool
) -> None:
    lenient = Container(
        settings=container.settings().model_copy(update={"jwt_type": "jwt"}),
        storage=InMemoryStorage(),
    )
    token = issuer.token(typ=typ)
    if accepted:
        assert (await lenient.verifier().verify(token)).client_id == "shop"
    else:
        with pytest.raises(InvalidToken):
            await lenient.verifier().verify(token)


async def test_public_key_is_not_accepted_as_a_secret(
    client: httpx2.AsyncClient, issuer: Issuer
) -> None:
    """Algorithm confusion: HS256 with the public key as the secret."""
    header, payload, _ = issuer.token().split(".")
    header = encode(json.dumps({"alg": "HS256", "typ": "at+jwt"}).encode())
    for secret in (issuer.answer(), issuer.keys[0]["x"].encode()):
        signed = f"{header}.{payload}"
        forged = f"{signed}.{signature('HS256', signed, secret)}"
        assert (await read(client, forged)).status_code == 401


async def test_published_secret_verifies_no_token(
    client: httpx2.AsyncClient, issuer: Issuer
) -> None:
    secret = b"a secret that everybody can fetch from the issuer"
    issuer.keys = [to_jwk(secret)]
    _, payload, _ = issuer.token().split(".")
    signed = f"{encode(json.dumps({'alg': 'HS256', 'typ': 'at+jwt'}).encode())}.{payload}"
    answer = await read(client, f"{signed}.{signature('HS256', signed, secret)}")
    assert (answer.status_code, problem_type(answer)) == (401, "invalid-token")


@pytest.mark.parametrize("token", ["x", "a.b.c", "e30.e30.AA", "x" * 9000])
async def test_malformed_token_is_refused(
    client: httpx2.AsyncClient, issuer: Issuer, token: str
) -> None:
    assert (await read(client, token)).status_code == 401


# Keys that change, and an issuer that does not answer


async def test_new_key_is_accepted_from_its_first_token_on(
    client: httpx2.AsyncClient, issuer: Issuer
) -> None:
    old = issuer.token()
    assert (await read(client, old)).status_code == 404
    issuer.rotate()
    assert (await read(client, issuer.token())).status_code == 404
    assert (await read(client, old)).status_code == 401
    assert issuer.fetches == 2


async def test_forged_tokens_cost_the_issuer_one_request(
    client: httpx2.AsyncClient, issuer: Issuer
) -> None:
    assert (await read(client, issuer.token())).status_code == 404
    forged = [issuer.token(kid=f"forged {i}") for i in range(50)]
    answers = await asyncio.gather(*(read(client, token) for token in forged))
    assert {answer.status_code for answer in answers} == {401}
    assert issuer.fetches == 2


async def test_tokens_are_accepted_while_the_issuer_is_down() -> None:
    with running_issuer() as issuer:
        settings = Settings(jwks_url=(issuer.url,), issuer=issuer.name, audience=AUDIENCE)
        seconds = [0.0]
        keys = RemoteKeySet(issuer.url, monotonic=lambda: seconds[0])
        container = Container(
            settings=settings, storage=InMemoryStorage(), remote_keys={issuer.name: keys}
        )
        caller = await container.verifier().verify(issuer.token())
    for _ in range(3):
        seconds[0] += 86_400
        assert await container.verifier().verify(issuer.token()) == caller
    await keys.close()


async def test_token_is_answered_503_when_the_issuer_was_never_reachable(
    container: Container, issuer: Issuer
) -> None:
    issuer.status = 502
    app = create_app(container)
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client,
    ):
        answer = await read(client, issuer.token())
    assert (answer.status_code, problem_type(answer)) == (503, "issuer-unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_slow_issuer_delays_no_other_request(container: Container, issuer: Issuer) -> None:
    slow = Container(
        settings=container.settings(),
        storage=InMemoryStorage(),
        remote_keys={issuer.name: RemoteKeySet(issuer.url, timeout=0.5)},
    )
    issuer.hang = True
    transport = httpx2.ASGITransport(create_app(slow))
    async with httpx2.AsyncClient(transport=transport, base_url="http://in.process") as client:
        waiting = [asyncio.create_task(read(client, issuer.token())) for _ in range(5)]
        for _ in range(20):
            assert (await client.get("/readyz")).status_code == 200
        assert not any(task.done() for task in waiting)
        answers = await asyncio.gather(*waiting)
    assert {problem_type(answer) for answer in answers} == {"issuer-unavailable"}
    assert issuer.fetches == 1


# Routes that do not exist


async def test_login_does_not_exist_with_an_external_issuer(client: httpx2.AsyncClient) -> None:
    form = {"username": "user1", "password": PASSWORD}
    for answer in (await client.post("/login", data=form), await client.get("/login")):
        assert answer.status_code == 404
    answer = await client.get("/order?id=1")
    assert answer.status_code == 401
    assert "login" not in answer.text


async def test_openapi_document_has_no_login_with_an_external_issuer(
    client: httpx2.AsyncClient, issuer: Issuer
) -> None:
    document = (await client.get("/openapi.json")).json()
    assert "/login" not in document["paths"]
    assert "login" not in json.dumps(document)
    assert issuer.name in document["info"]["description"]
    assert document["components"]["securitySchemes"] == {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token that the client already has.",
        }
    }
    operation = document["paths"]["/order"]["get"]
    assert operation["security"] == [{"bearer": ["orders:read"]}]
    component = operation["responses"]["503"]["$ref"].rpartition("/")[2]
    content = document["components"]["responses"][component]["content"]
    assert "issuer-unavailable" in content["application/problem+json"]["examples"]


async def test_challenge_names_no_metadata_without_a_public_url(
    client: httpx2.AsyncClient,
) -> None:
    answer = await client.get("/order?id=1")
    assert answer.headers["www-authenticate"] == 'Bearer realm="ordergate"'
    assert (await client.get("/.well-known/oauth-protected-resource")).status_code == 404


def make_public_client(issuer: Issuer, name: str, public_url: str) -> httpx2.AsyncClient:
    app = create(jwks_url=issuer.url, issuer=name, audience=AUDIENCE, public_url=public_url)
    transport = httpx2.ASGITransport(app)
    return httpx2.AsyncClient(transport=transport, base_url="http://in.process")


async def test_challenge_leads_to_the_external_issuer_by_the_public_url(issuer: Issuer) -> None:
    async with make_public_client(issuer, issuer.name, "https://api.example.com/shop") as client:
        answer = await client.get("/order?id=1")
        metadata = await client.get("/.well-known/oauth-protected-resource")
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="ordergate", resource_metadata='
        '"https://api.example.com/.well-known/oauth-protected-resource/shop"'
    )
    assert metadata.json() == {
        "resource": "https://api.example.com/shop",
        "authorization_servers": [issuer.name],
        "scopes_supported": ["orders:read", "orders:write"],
        "bearer_methods_supported": ["header"],
        "resource_documentation": "https://api.example.com/shop/docs",
    }


async def test_metadata_omits_issuers_that_are_no_urls(issuer: Issuer) -> None:
    async with make_public_client(
        issuer, "urn:example:issuer", "https://api.example.com"
    ) as client:
        metadata = await client.get("/.well-known/oauth-protected-resource")
    assert "authorization_servers" not in metadata.json()


# All of it


@pytest.mark.parametrize("workers", [1, 2])
def test_server_accepts_tokens_of_an_external_issuer(
    tmp_path: Path, start: Start, issuer: Issuer, workers: int
) -> None:
    settings: dict[str, Any] = {
        "JWKS_URL": issuer.url,
        "ISSUER": issuer.name,
        "AUDIENCE": AUDIENCE,
    }
    cheap: dict[str, Any] = {"PASSWORD": PASSWORD, "BCRYPT_COST": 4}
    assert ordergate("migrate", cwd=tmp_path, **settings).returncode == 0
    seeded = ordergate("seed", "--users", 2, "--orders", 4, cwd=tmp_path, **cheap)
    assert seeded.returncode == 0, seeded.stderr
    with closing(sqlite3.connect(tmp_path / ".ordergate" / "ordergate.db")) as database, database:
        database.execute(
            "INSERT INTO external_subjects VALUES (?, 'auth0|alice', 1)", [issuer.name]
        )
    server = start("serve", "--workers", workers, cwd=tmp_path, **settings)

    def get(token: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx2.get(f"{server.url}/orders/1", headers=headers, timeout=SECONDS)

    assert get(issuer.token()).json()["id"] == 1
    assert get(issuer.token("auth0|bob")).status_code == 404
    assert get(issuer.token(typ="JWT")).status_code == 401
    assert httpx2.post(f"{server.url}/login").status_code == 404
    assert not (tmp_path / ".ordergate" / "signing-key.pem").exists()
    assert "HTTP Request" not in "".join(server.output)


def test_server_starts_while_the_issuer_is_down(tmp_path: Path, start: Start) -> None:
    with running_issuer() as issuer:
        pass
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    server = start("serve", cwd=tmp_path, JWKS_URL=issuer.url, ISSUER=issuer.name)
    assert httpx2.get(f"{server.url}/readyz", timeout=SECONDS).status_code == 200
    headers = {"Authorization": f"Bearer {issuer.token()}"}
    answer = httpx2.get(f"{server.url}/orders/1", headers=headers, timeout=SECONDS)
    assert (answer.status_code, problem_type(answer)) == (503, "issuer-unavailable")
    wait_until(lambda: "keys_unavailable" in "".join(server.output))
