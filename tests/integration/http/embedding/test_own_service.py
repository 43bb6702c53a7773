"""A service of an adopter: its name, and no routes of orders."""

from starlette.testclient import TestClient

from ordergate.entrypoints.http.security import CurrentUser, authorized
from ordergate.testing import authorize, create


def test_application_without_routes_of_orders_leaves_them_to_the_adopter() -> None:
    app = create(order_routes=False, scopes={"orders:read": "Read the orders of this shop"})

    @app.get("/orders/{number}", dependencies=[authorized("orders:read")])
    async def read(number: str, user: CurrentUser) -> str:
        return f"{number} of {user.id}"

    with TestClient(app) as client:
        assert client.get("/orders/a", headers=authorize(app, 7)).json() == "a of 7"
        assert client.get("/order?id=1", headers=authorize(app)).status_code == 404
        assert client.post("/orders", headers=authorize(app), json={}).status_code == 404
        document = client.get("/openapi.json").json()
        metadata = client.get("/.well-known/oauth-authorization-server").json()
    assert not {"/order", "/orders", "/orders/{id}/cancel"} & document["paths"].keys()
    assert "orders" not in {tag["name"] for tag in document["tags"]}
    assert "order" not in document["info"]["description"]
    assert metadata["scopes_supported"] == ["account", "orders:read"]
    flow = document["components"]["securitySchemes"]["password"]["flows"]["password"]
    assert flow["scopes"].keys() == {"account", "orders:read"}


def test_sign_in_without_routes_of_orders_grants_no_scope_of_orders() -> None:
    account = {"username": "alice", "password": "a password of alice's"}
    with TestClient(create(order_routes=False)) as client:
        assert client.post("/users", json=account).status_code == 201
        assert client.post("/login", data=account).json()["scope"] == "account"
        refused = client.post("/login", data={**account, "scope": "orders:read"})
    assert refused.json()["detail"].endswith("available: account.")


def test_routes_of_orders_can_be_left_out_with_another_issuer() -> None:
    app = create(
        order_routes=False,
        identity_provider="oidc",
        issuer="https://id.example",
        audience="notes",
    )
    document = app.openapi()
    assert document["paths"].keys() == {"/livez", "/readyz"}
    assert document["info"]["description"].startswith(
        "Call this API with an access token of `https://id.example`."
    )


def test_name_of_the_adopter_is_in_the_document_and_on_the_page() -> None:
    app = create()
    app.title, app.summary, app.version = "Notes & more", "What to remember", "2.0"
    client = TestClient(app)
    info = client.get("/openapi.json").json()["info"]
    assert (info["title"], info["summary"], info["version"]) == (
        "Notes & more",
        "What to remember",
        "2.0",
    )
    assert "<title>Notes &amp; more</title>" in client.get("/docs").text
