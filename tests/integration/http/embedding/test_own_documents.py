"""The OpenAPI document describes routers of an adopter, whatever they declare."""

from typing import Annotated, Any

import jsonschema_rs
import pytest
from fastapi import APIRouter, Body, FastAPI, Header, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import APIKeyHeader, HTTPBearer, OAuth2PasswordBearer, SecurityScopes
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, Field

from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.problems import problem
from ordergate.entrypoints.http.security import CurrentUser, authenticated, authorized
from ordergate.testing import create
from tests.support.api.embedding import make_client, make_services

PROBLEM = "application/problem+json"


class OwnError(BaseModel):
    code: str


@pytest.fixture
def app() -> FastAPI:
    return create()


def read_document(app: FastAPI) -> dict[str, Any]:
    """Return the document after checking that its references and names are right."""
    client = make_client(app)
    answer = client.get("/openapi.json")
    assert answer.status_code == 200, answer.text
    assert client.get("/docs").status_code == 200
    document: dict[str, Any] = answer.json()
    for reference in list_references(document):
        _, *keys = reference.split("/")
        part = document
        for key in keys:
            part = part[key]
    for kind, parts in document["components"].items():
        for name in parts:
            assert all(c.isascii() and (c.isalnum() or c in "._-") for c in name), (kind, name)
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    ids = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
    ]
    assert len(ids) == len(set(ids))
    return document


def list_references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [each for child in node.values() for each in list_references(child)]
    if isinstance(node, list):
        return [each for child in node for each in list_references(child)]
    return []


def read_responses(app: FastAPI, path: str = "/mine", method: str = "get") -> dict[str, Any]:
    """Return the answers of an operation, with references resolved."""
    document = read_document(app)
    shared = document["components"]["responses"]
    return {
        status: shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
        for status, answer in document["paths"][path][method]["responses"].items()
    }


@pytest.mark.parametrize(
    "responses",
    [
        {401: {"model": OwnError}},
        {400: {"model": OwnError, "description": "Mine"}},
        {"4XX": {"model": OwnError}},
        {"default": {"description": "Anything else"}},
        {404: {}},
        {422: {"description": "Mine", "content": {"text/plain": {"example": "no"}}}},
        {500: {"headers": {"X-Mine": {"schema": {"type": "string"}}}, "description": "Mine"}},
        {401: {"$ref": "#/components/responses/Unauthorized"}},
        {503: {"content": {"application/json": {"example": {"status": "degraded"}}}}},
        {413: {"content": {PROBLEM: {"schema": {"type": "object"}}}, "description": "Mine"}},
        {401: {"content": {PROBLEM: {"examples": {"mine": {"value": {}}}}}}},
        {200: {"content": {"image/png": {}}}, 304: {"description": "Unchanged"}},
    ],
)
@pytest.mark.parametrize("place", ["application", "router", "route"])
def test_declared_responses_and_problems_are_both_described(
    app: FastAPI, responses: dict[int | str, dict[str, Any]], place: str
) -> None:
    router = APIRouter(responses=responses if place == "router" else None)

    @router.get("/mine", responses=responses if place == "route" else None)
    async def mine(user: CurrentUser) -> str:
        return ""

    app.include_router(router, responses=responses if place == "application" else None)
    described = read_responses(app)
    for status, answer in responses.items():
        got = described[str(status)]
        assert got["description"]
        assert got["description"] == answer.get("description", got["description"])
        if "model" in answer:
            schema = got["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/OwnError"}
        for media_type in answer.get("content", {}):
            assert media_type in got["content"]
        assert got.get("headers", {}).keys() >= answer.get("headers", {}).keys()
    for status in {"400", "401", "422", "500", "503"} & described.keys():
        assert PROBLEM in described[status]["content"]


@pytest.mark.parametrize("status", [401, 404, 418, "4XX", "default"])
@pytest.mark.parametrize("media_type", [None, PROBLEM])
def test_model_of_problems_may_be_used_by_the_adopter(
    app: FastAPI, status: int | str, media_type: str | None
) -> None:
    described: dict[str, Any] = {"model": problem.ProblemDetails, "description": "Mine"}
    if media_type:
        schema = {"$ref": "#/components/schemas/ProblemDetails"}
        described = {"content": {media_type: {"schema": schema}}, "description": "Mine"}

    @app.get("/mine", responses={status: described})
    async def mine(user: CurrentUser) -> str:
        return ""

    assert str(status) in read_responses(app)


def test_models_with_names_of_ours_are_kept_apart(app: FastAPI) -> None:
    class ProblemDetails(BaseModel):
        mine: int

    class InvalidParameter(BaseModel):
        mine: ProblemDetails

    class Order(BaseModel):
        mine: str

    class Health(BaseModel):
        mine: str

    router = APIRouter()

    @router.get("/mine", responses={409: {"model": ProblemDetails}})
    async def mine(order: Annotated[Order, Body()]) -> InvalidParameter | Health:
        raise NotImplementedError

    app.include_router(router, dependencies=[authenticated])
    document = read_document(app)
    schemas = document["components"]["schemas"]
    conflict = document["paths"]["/mine"]["get"]["responses"]["409"]
    named = conflict["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert schemas[named]["properties"].keys() == {"mine"}
    refused = read_responses(app)["401"]["content"][PROBLEM]["schema"]["$ref"].rpartition("/")[2]
    assert "request_id" in schemas[refused]["properties"]
    order = document["paths"]["/order"]["get"]["responses"]["200"]
    own = order["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert "lines" in schemas[own]["properties"]


def test_schemes_of_the_adopter_are_kept(app: FastAPI) -> None:
    key = APIKeyHeader(name="X-Key")
    other = OAuth2PasswordBearer("their/token", scopes={"read": "Read"})

    async def get_key(key: Annotated[str, Security(key)]) -> str:
        return key

    async def get_other(
        scopes: SecurityScopes, token: Annotated[str, Security(other, scopes=["read"])]
    ) -> str:
        return token

    app.add_api_route("/key", lambda: "", dependencies=[Security(get_key)])
    app.add_api_route("/other", lambda: "", dependencies=[Security(get_other, scopes=["write"])])
    app.add_api_route("/http", lambda: "", dependencies=[Security(HTTPBearer())])
    app.add_api_route("/both", lambda: "", dependencies=[Security(get_key), authenticated])
    app.add_api_route(
        "/named", lambda: "", dependencies=[Security(HTTPBearer(scheme_name="bearer"))]
    )
    app.add_api_route(
        "/own", lambda: "", dependencies=[Security(APIKeyHeader(name="k", scheme_name="password"))]
    )
    document = read_document(app)
    schemes = document["components"]["securitySchemes"]
    assert schemes["APIKeyHeader"] == {"type": "apiKey", "in": "header", "name": "X-Key"}
    flows = schemes["OAuth2PasswordBearer"]["flows"]
    assert flows["password"]["tokenUrl"] == "their/token"
    for path in ("/key", "/other", "/http"):
        operation = document["paths"][path]["get"]
        assert "401" not in operation["responses"]  # it is the adopter's to describe
        assert "403" not in operation["responses"]
    both = document["paths"]["/both"]["get"]
    assert "401" in both["responses"]
    assert schemes["password"]["in"] == "header"
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer"}
    assert {"APIKeyHeader", "ordergate.password"} <= {
        name for each in both["security"] for name in each
    }


def test_scheme_of_the_adopter_is_not_moved_below_a_path() -> None:
    app = create_app(
        make_services(
            signing_secret=None,
            identity_provider="oidc",
            issuer="https://id.example",
            jwks_url="https://id.example/jwks",
        )
    )
    app.get("/own", dependencies=[Security(HTTPBearer(scheme_name="password"))])(lambda: "")
    document = TestClient(app, root_path="/shop").get("/openapi.json").json()
    assert document["servers"][0] == {"url": "/shop"}
    schemes = document["components"]["securitySchemes"]
    assert schemes["password"] == {"type": "http", "scheme": "bearer"}


def test_document_keeps_everything_that_fastapi_documents(app: FastAPI) -> None:
    class Item(BaseModel):
        model_config = ConfigDict(json_schema_extra={"examples": [{"size": 1}]})
        size: int = Field(default=1, le=2**70, ge=-(2**70))
        text: str | None = None

    router = APIRouter(prefix="/mine", tags=["mine"], deprecated=True)

    @router.post(
        "/items/{name}",
        operation_id="items:create",
        openapi_extra={"x-mine": {"a": 1}, "parameters": [{"$ref": "#/components/parameters/P"}]},
        responses={201: {"model": Item}},
        status_code=201,
        summary="Mine",
    )
    async def create_item(
        name: str, item: Item, x_mine: Annotated[str, Header(examples=["a"])] = ""
    ) -> Item:
        return item

    @router.put(
        "/raw",
        openapi_extra={
            "requestBody": {
                "content": {
                    "application/x-yaml": {"schema": True},
                    "text/css": {"schema": {"title": "Größe (cm)", "type": "object"}},
                }
            }
        },
    )
    async def raw() -> None: ...

    @router.get("/hidden", include_in_schema=False)
    async def hidden() -> None: ...

    callbacks = APIRouter()

    @callbacks.post("{$callback_url}/done")
    async def done(item: Item) -> None: ...

    router.add_api_route("/called", raw, callbacks=callbacks.routes, operation_id="called")

    @app.webhooks.post("new-item")
    async def new_item(item: Item) -> None: ...

    app.include_router(router)
    app.openapi_tags = [*(app.openapi_tags or []), {"name": "mine"}]
    app.contact = {"name": "Me"}
    app.terms_of_service = "https://me.example/terms"
    app.openapi_external_docs = {"url": "https://me.example/"}
    app.separate_input_output_schemas = False

    document = app.openapi()
    assert document["webhooks"]["new-item"]["post"]["operationId"]
    assert document["info"]["contact"] == {"name": "Me"}
    assert document["info"]["termsOfService"] == "https://me.example/terms"
    assert document["externalDocs"] == {"url": "https://me.example/"}
    assert document["tags"][-1] == {"name": "mine"}
    item = document["components"]["schemas"]["Item"]
    assert item["properties"]["size"]["maximum"] == 2**70
    created = document["paths"]["/mine/items/{name}"]["post"]
    assert (created["operationId"], created["deprecated"]) == ("items:create", True)
    assert created["x-mine"] == {"a": 1}
    assert "/mine/hidden" not in document["paths"]
    document["components"]["parameters"] = {"P": {"name": "p", "in": "query"}}
    read_document(app)


def test_document_follows_routes_that_are_added_later(app: FastAPI) -> None:
    assert "/later" not in read_document(app)["paths"]
    app.add_api_route("/later", lambda: "", dependencies=[authorized("orders:read")])
    assert "/later" in read_document(app)["paths"]


def test_document_of_the_adopter_replaces_the_own(app: FastAPI) -> None:
    app.add_api_route("/mine", lambda: "", dependencies=[authenticated])

    def openapi() -> dict[str, Any]:
        return get_openapi(title="Mine", version="1", routes=app.routes)

    app.openapi = openapi  # type: ignore[method-assign] # as FastAPI documents it
    document = make_client(app).get("/openapi.json").json()
    assert document["info"]["title"] == "Mine"


def test_shared_answers_have_names_for_any_operation_id(app: FastAPI) -> None:
    for name in ("notes:read", "größe", "a b/c"):
        described = {
            "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
        }
        app.add_api_route(
            f"/{len(name)}",
            lambda: "",
            operation_id=name,
            responses={409: {**described, "description": f"Mine of {name}"}},
            dependencies=[authenticated],
        )
    read_document(app)
