"""Overridden dependencies, and what `ordergate.testing` offers to an adopter."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from cryptography.hazmat.primitives import serialization
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from ordergate.adapters.tokens.keys.signing_key import new_private_key
from ordergate.application.ports.tokens import Caller
from ordergate.domain.user import UserId
from ordergate.entrypoints import asgi
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.http.security import (
    CurrentUser,
    OptionalUser,
    authenticated,
    authorized,
    bearer_authentication,
    optional_authentication,
)
from ordergate.testing import authorize, be, create, make_container
from tests.support.api.http_client import TEA
from tests.support.program.command import PASSWORD

METHODS = ("get", "put", "post", "delete", "patch")


def list_protected(app: FastAPI) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the method and path of each own operation with a caller."""
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            if method in METHODS and operation.get("security"):
                yield method, path, operation


def test_override_is_honoured_on_every_own_route() -> None:
    app = create()
    client = TestClient(app)
    account = {"username": "alice", "password": PASSWORD}
    user_id = client.post("/users", json=account).json()["id"]
    bodies: dict[str, Any] = {"/orders": TEA, "/me/password": {}, "/me": {"password": "x"}}
    operations = list(list_protected(app))
    assert len(operations) >= 10
    for method, path, _ in operations:
        address = path.replace("{id}", "1").replace("{session_id}", "current")
        body = bodies.get(path) if method in {"post", "put", "delete"} else None
        assert client.request(method, address, json=body).status_code == 401, (method, path)
        app.dependency_overrides[bearer_authentication] = be(user_id)
        answer = client.request(method, address, json=body)
        assert answer.status_code != 401, (method, path, answer.text)
        app.dependency_overrides.clear()
    app.dependency_overrides[bearer_authentication] = be(user_id)
    assert client.get("/me").json()["username"] == "alice"
    assert client.post("/orders", json=TEA).status_code == 201
    assert len(client.get("/orders").json()["orders"]) == 2  # one of the loop


def test_override_is_honoured_on_routes_of_the_adopter() -> None:
    app = create(scopes={"notes:read": "Read your notes"})

    async def number() -> int:
        return 1

    @app.get("/mine", dependencies=[authorized("notes:read")])
    async def mine(
        user: CurrentUser, maybe: OptionalUser, number: Annotated[int, Depends(number)]
    ) -> list[int | None]:
        return [user.id, maybe.id if maybe else None, number]

    app.dependency_overrides[bearer_authentication] = be(7)
    app.dependency_overrides[optional_authentication] = lambda: Caller(UserId(8), "tests")
    app.dependency_overrides[number] = lambda: 9
    assert TestClient(app).get("/mine").json() == [7, 8, 9]
    app.dependency_overrides.clear()
    assert TestClient(app).get("/mine").status_code == 401


def test_override_that_refuses_is_honoured() -> None:
    from fastapi import HTTPException

    def refuse() -> None:
        raise HTTPException(402, {"code": "unpaid"})

    app = create()
    app.dependency_overrides[bearer_authentication] = refuse
    answer = TestClient(app).get("/order?id=1", headers=authorize(app))
    assert (answer.status_code, answer.json()) == (402, {"detail": {"code": "unpaid"}})


def test_override_beside_a_mounted_ordergate_is_honoured() -> None:
    outer = FastAPI()
    outer.mount("/auth", create())

    @outer.get("/mine")
    async def mine(user: CurrentUser) -> int:
        return user.id

    outer.dependency_overrides[bearer_authentication] = be(7)
    assert TestClient(outer).get("/mine").json() == 7


def test_token_for_anybody_is_accepted() -> None:
    app = create(scopes={"notes:read": "Read your notes"})

    @app.get("/mine")
    async def mine(user: CurrentUser) -> dict[str, Any]:
        return {"id": user.id, "client": user.client_id, "scope": sorted(user.scope)}

    @app.get("/notes", dependencies=[authorized("notes:read")])
    async def notes() -> str:
        return "notes"

    with TestClient(app) as client:
        everything = client.get("/mine", headers=authorize(app)).json()
        assert everything == {
            "id": 1,
            "client": "tests",
            "scope": ["account", "notes:read", "orders:read", "orders:write"],
        }
        limited = authorize(app, 7, scopes=["orders:read"], client_id="c")
        assert client.get("/mine", headers=limited).json() == {
            "id": 7,
            "client": "c",
            "scope": ["orders:read"],
        }
        assert client.get("/notes", headers=limited).status_code == 403
        assert client.get("/notes", headers=authorize(app)).json() == "notes"


def test_applications_of_tests_are_independent() -> None:
    first, second = create(), create()
    for app in (first, second):
        account = {"username": "alice", "password": PASSWORD}
        assert TestClient(app).post("/users", json=account).status_code == 201


def test_settings_of_a_test_are_arguments() -> None:
    assert TestClient(create(sign_up=False)).post("/users", json={}).status_code == 404


def test_container_of_tests_serves_the_module_of_an_adopter() -> None:
    app = asgi.create(make_container)
    app.add_api_route("/mine", lambda: "mine", dependencies=[authenticated])
    with TestClient(app) as client:
        assert client.get("/mine").status_code == 401
        assert client.get("/mine", headers=authorize(app)).json() == "mine"


def test_token_of_another_application_is_reported() -> None:
    with pytest.raises(TypeError, match="create"):
        authorize(FastAPI())


def test_overridden_caller_has_claims() -> None:
    caller = be(7, claims={"roles": ["editor"]})()
    assert caller.claims == {"roles": ["editor"]}


def test_token_for_a_test_has_known_scopes_only() -> None:
    with pytest.raises(ValueError, match="the application knows no scope nots:read"):
        authorize(create(scopes={"notes:read": "Read your notes"}), scopes=["nots:read"])


def test_settings_of_a_test_are_checked() -> None:
    with pytest.raises(SettingsError) as refusal:
        create(signup=False, bcrypt_cost=99, cors_headers=("X-Tenant",))
    assert refusal.value.problems == [
        "ORDERGATE_CORS_HEADERS needs ORDERGATE_CORS_ORIGINS",
        "bcrypt_cost: must be a whole number from 4 to 20",
        "signup is not a setting; did you mean sign_up?",
    ]


FOREIGN = {
    "ORDERGATE_IDENTITY_PROVIDER": "entra",
    "ORDERGATE_ISSUER": "https://sts.windows.net/1/,https://sts.windows.net/2/",
    "ORDERGATE_AUDIENCE": "api://1,api://2",
    "ORDERGATE_SCOPE_MAP": "Orders.Read=orders:read",
    "ORDERGATE_PUBLIC_URL": "https://api.example",
}


@pytest.mark.parametrize("make", [create, lambda: asgi.create(make_container)])
def test_issuer_of_the_environment_does_not_count_in_tests(
    make: Callable[[], FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    app = make()
    app.add_api_route("/mine", lambda: "mine", dependencies=[authenticated])
    with TestClient(app) as client:
        assert client.get("/mine", headers=authorize(app)).json() == "mine"


def test_test_of_another_issuer_overrides_the_caller() -> None:
    app = create(identity_provider="oidc", issuer="https://id.example", audience="orders")
    with pytest.raises(TypeError, match=r"override the caller by be\(\)"):
        authorize(app)
    app.add_api_route("/mine", lambda: "mine", dependencies=[authenticated])
    app.dependency_overrides[bearer_authentication] = be(7)
    assert TestClient(app).get("/mine").json() == "mine"


def test_test_may_sign_with_a_key_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(
        new_private_key("EdDSA").private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    app = create(signing_key_file=file)
    app.add_api_route("/mine", lambda: "mine", dependencies=[authenticated])
    assert TestClient(app).get("/mine", headers=authorize(app)).json() == "mine"


def test_token_for_a_test_has_further_claims() -> None:
    app = create()

    @app.get("/roles")
    async def roles(user: CurrentUser) -> object:
        return [user.id, user.claims.get("roles"), sorted(user.scope)]

    headers = authorize(app, 7, scopes=["account"], claims={"roles": ["editor"]})
    assert TestClient(app).get("/roles", headers=headers).json() == [7, ["editor"], ["account"]]
    with pytest.raises(ValueError, match="every token has iss, sub already"):
        authorize(app, claims={"sub": "x", "iss": "https://id.example", "tid": "1"})


def test_token_for_a_test_of_an_application_above_is_accepted() -> None:
    outer = FastAPI()
    outer.mount("/auth", create())

    @outer.get("/mine")
    async def mine(user: CurrentUser) -> int:
        return user.id

    assert TestClient(outer).get("/mine", headers=authorize(outer, 7)).json() == 7


@pytest.mark.parametrize("user_id", ["7", 0, -1, 2**63, None])
def test_token_for_a_test_needs_the_id_of_a_user(user_id: Any) -> None:
    with pytest.raises(ValueError, match="the id of a user is a whole number from 1, not"):
        authorize(create(), user_id)


def test_scopes_of_a_token_for_a_test_are_a_list() -> None:
    with pytest.raises(ValueError, match="no scope account; `scopes` is a list of names"):
        authorize(create(), scopes="account")
