"""An adopter's scopes, and the caller's claims, on the adopter's routes."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Security
from fastapi.security import OAuth2PasswordBearer
from fastapi.testclient import TestClient

from ordergate.application.ports.tokens import Caller
from ordergate.domain.scope import InvalidScopeDeclaration
from ordergate.entrypoints import asgi
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.http.security import (
    CurrentUser,
    UndeclaredScope,
    authenticated,
    authorized,
)
from ordergate.testing import authorize, create
from tests.support.program.command import PASSWORD
from tests.support.tokens.oidc_issuer import AUDIENCE, running_issuer

SCOPES = {"notes:read": "Read your notes", "notes:write": "Write your notes"}

router = APIRouter()


@router.get("/notes", dependencies=[authorized("notes:read")])
async def read_notes() -> list[str]:
    return ["Water the plants"]


@router.post("/notes")
def write_note(user: Annotated[Caller, authorized("notes:write")]) -> str:
    return f"written by {user.id}"


async def require_editor(user: CurrentUser) -> None:
    if "editor" not in str(user.claims.get("roles", "")):
        raise HTTPException(403, "You are no editor.")


@router.get("/drafts", dependencies=[Depends(require_editor)])
async def read_drafts() -> list[str]:
    return ["A draft"]


@router.get("/claims")
async def read_claims(user: CurrentUser) -> dict[str, object]:
    return dict(user.claims)


@pytest.fixture
def app() -> FastAPI:
    app = create(scopes=SCOPES)
    app.include_router(router)
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    seed = app.state.services.seed_storage()
    with TestClient(app) as client:
        assert client.portal is not None
        client.portal.call(lambda: seed(users=2, orders=2, password=PASSWORD))
        yield client


def sign_in(client: TestClient, **form: str) -> httpx2.Response:
    return client.post("/login", data={"username": "user1", "password": PASSWORD, **form})


def bearer(answer: httpx2.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_declared_scope_is_granted_and_required(client: TestClient) -> None:
    reading = sign_in(client, scope="notes:read")
    assert reading.json()["scope"] == "notes:read"
    assert client.get("/notes", headers=bearer(reading)).json() == ["Water the plants"]
    refused = client.post("/notes", headers=bearer(reading))
    assert refused.status_code == 403
    assert refused.json()["scope"] == "notes:write"
    assert client.get("/orders", headers=bearer(reading)).status_code == 403


def test_sign_in_without_a_scope_grants_every_scope(client: TestClient) -> None:
    answer = sign_in(client)
    every = "account notes:read notes:write orders:read orders:write"
    assert answer.json()["scope"] == every
    assert client.post("/notes", headers=bearer(answer)).json() == "written by 1"
    form = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
    refreshed = client.post("/login", data=form)
    assert refreshed.json()["scope"] == every
    form["refresh_token"] = refreshed.json()["refresh_token"]
    narrowed = client.post("/login", data={**form, "scope": "notes:read"})
    assert narrowed.json()["scope"] == "notes:read"


def test_undeclared_scope_is_not_granted(client: TestClient) -> None:
    answer = sign_in(client, scope="notes:delete")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert answer.json()["detail"].endswith(
        "available: account notes:read notes:write orders:read orders:write."
    )


def test_scope_of_a_session_limits_its_refreshes(client: TestClient) -> None:
    token = sign_in(client, scope="notes:read").json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token, "scope": "notes:write"}
    answer = client.post("/login", data=form)
    assert answer.json()["detail"].endswith("available: notes:read.")


def test_metadata_and_document_list_declared_scopes(client: TestClient) -> None:
    metadata = client.get("/.well-known/oauth-authorization-server").json()
    assert set(SCOPES) < set(metadata["scopes_supported"])
    document = client.get("/openapi.json").json()
    flow = document["components"]["securitySchemes"]["password"]["flows"]["password"]
    assert flow["scopes"].items() > SCOPES.items()
    assert document["paths"]["/notes"]["get"]["security"] == [
        {"password": ["notes:read"]}, {"bearer": []},
    ]  # fmt: skip
    scope = document["components"]["schemas"]["LoginForm"]["properties"]["scope"]
    assert re.search(scope["pattern"], "notes:read orders:write")
    assert not re.search(scope["pattern"], "notes:delete")
    assert scope["examples"] == ["account notes:read notes:write orders:read orders:write"]


def test_declared_scopes_of_an_application_stay_its_own(client: TestClient) -> None:
    other = TestClient(create())
    flow = other.get("/openapi.json").json()["components"]["securitySchemes"]["password"]["flows"]
    assert not SCOPES.keys() & flow["password"]["scopes"].keys()
    assert client.get("/openapi.json").status_code == 200


@pytest.mark.parametrize(
    "add",
    [
        lambda app: app.include_router(router),
        lambda app: app.include_router(router, prefix="/api", dependencies=[authenticated]),
        lambda app: app.mount("/api", mounted()),
        lambda app: app.get("/notes", dependencies=[Depends(read_note)])(lambda: "x"),
        lambda app: app.websocket("/notes")(listen),
        lambda app: app.get("/notes", dependencies=[Security(name_user, scopes=["notes:read"])])(
            lambda: "x"
        ),
    ],
    ids=[
        "a router",
        "a prefix",
        "a mounted application",
        "a dependency",
        "a WebSocket",
        "Security",
    ],
)
def test_undeclared_scope_of_a_route_is_refused_at_the_start(add: Any) -> None:
    app = create(scopes={"notes:write": "Write your notes"})
    add(app)
    with pytest.raises(UndeclaredScope) as refusal, TestClient(app):
        pass
    assert re.fullmatch(
        r"(GET|WebSocket) (/api)?/notes requires the scope notes:read, which is not declared;"
        r" correct its name, or declare it with a description:"
        r' create\(scopes=\{"notes:read": "…"}\)',
        str(refusal.value),
    )


async def name_user(user: CurrentUser) -> str:
    return f"user {user.id}"


def test_scopes_of_another_scheme_need_no_declaration() -> None:
    scheme = OAuth2PasswordBearer("token", scopes={"items": "Read items"})
    app = create()

    @app.get("/items")
    async def read_items(token: Annotated[str, Security(scheme, scopes=["items"])]) -> str:
        return token

    with TestClient(app) as client:
        answer = client.get("/items", headers={"Authorization": "Bearer their own"})
        assert answer.json() == "their own"
        assert client.get("/openapi.json").status_code == 200


def mounted() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


async def read_note(user: Annotated[Caller, authorized("notes:read")]) -> int:
    return user.id


async def listen(socket: Annotated[Caller, authorized("notes:read")]) -> None:
    """Stand for a route that is not called."""


def test_undeclared_scope_is_an_error_in_an_application_that_was_not_started() -> None:
    app = create()
    app.include_router(router)
    client = TestClient(app, raise_server_exceptions=False)
    answer = client.get("/notes", headers=authorize(app))
    assert answer.status_code == 500


@pytest.mark.parametrize(
    ("scopes", "reason"),
    [
        ({"notes read": "Read"}, "the scope 'notes read' must be text of printable ASCII"),
        ({"": "Read"}, "the scope '' must be"),
        ({'say"': "Read"}, "must be text of printable ASCII"),
        ({"account": "Mine"}, "the scope account exists already; choose another name"),
        ({"notes:read": " "}, "the scope notes:read needs a description"),
        ({f"scope-{i}": "x" for i in range(40)}, "more than 255 characters together"),
    ],
)
def test_unusable_declaration_is_refused(scopes: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidScopeDeclaration, match=re.escape(reason)):
        create(scopes=scopes)


@pytest.mark.parametrize("scope", [["notes:read"], "notes:read notes:write", "", None])
def test_required_scope_must_be_one_name(scope: Any) -> None:
    with pytest.raises(InvalidScopeDeclaration, match="must be text of printable ASCII"):
        authorized(scope)


def test_create_takes_scopes(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("ORDERGATE_HOME", str(tmp_path))
    app = asgi.create(scopes=SCOPES)
    flow = app.openapi()["components"]["securitySchemes"]["password"]["flows"]["password"]
    assert flow["scopes"].items() > SCOPES.items()


ANOTHER_ISSUER: dict[str, Any] = {
    "identity_provider": "oidc",
    "issuer": "https://id.example",
    "audience": "orders",
}


@pytest.mark.parametrize(
    "setting",
    [
        {"scope_map": {"Read": ("orders:read", "notes:raed")}},
        {"default_scope": ("orders:read", "notes:raed")},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_undeclared_scope_of_a_setting_is_refused_by_name(setting: dict[str, Any]) -> None:
    settings = {**ANOTHER_ISSUER, **setting}
    with pytest.raises(SettingsError) as refusal:
        create(scopes=SCOPES, **settings)
    (problem,) = refusal.value.problems
    assert problem == (
        f"ORDERGATE_{next(iter(setting)).upper()}: the scope notes:raed is not declared; declare it"
        ' by create(scopes={"notes:raed": "…"}), or correct its name; did you mean notes:read?'
    )
    declared = {**SCOPES, "notes:raed": "Read notes"}
    create(scopes=declared, **settings)


def test_create_ends_with_one_line_for_an_undeclared_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ANOTHER_ISSUER, "scope_map": "Read=notes:read"}.items():
        monkeypatch.setenv(f"ORDERGATE_{name.upper()}", value)
    asgi.create(scopes=SCOPES)
    with pytest.raises(SystemExit, match="ORDERGATE_SCOPE_MAP: the scope notes:read"):
        asgi.create()


# Claims


def test_route_decides_by_the_claims_of_the_token(client: TestClient) -> None:
    own = bearer(sign_in(client))
    claims = client.get("/claims", headers=own).json()
    assert (claims["sub"], claims["iss"]) == ("1", "http://127.0.0.1:8000")
    assert client.get("/drafts", headers=own).status_code == 403


def test_tokens_of_another_issuer_have_declared_scopes_and_claims() -> None:
    with running_issuer() as issuer:
        settings: dict[str, Any] = {
            "jwks_url": issuer.url,
            "issuer": issuer.name,
            "audience": AUDIENCE,
        }
        app = create(scopes={**SCOPES, "x" * 300: "A long name"}, **settings)
        app.include_router(router)
        token = issuer.token(scope="openid notes:read", roles=["editor"], tenant="acme")
        other = issuer.token(scope="openid", roles=["reader"])
        with TestClient(app) as client:
            as_editor = {"Authorization": f"Bearer {token}"}
            as_reader = {"Authorization": f"Bearer {other}"}
            assert client.get("/notes", headers=as_editor).status_code == 200
            assert client.get("/notes", headers=as_reader).status_code == 403
            assert client.post("/notes", headers=as_editor).status_code == 403
            assert client.get("/drafts", headers=as_editor).json() == ["A draft"]
            assert client.get("/drafts", headers=as_reader).status_code == 403
            claims = client.get("/claims", headers=as_editor).json()
            document = client.get("/openapi.json").json()
    assert (claims["tenant"], claims["sub"]) == ("acme", "auth0|alice")
    assert document["paths"]["/notes"]["get"]["security"] == [{"bearer": ["notes:read"]}]
