"""`/openapi.json`: what generators of clients, linters and people read."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter
from pydantic import BaseModel

from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.security import CurrentUser
from tests.support.api.http_client import PROBLEM

MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1
OAUTH = {"POST /login", "POST /revoke"}
EVERYWHERE = {"200", "400", "408", "413", "422", "431", "500", "503"}


def make_document(**settings: Any) -> dict[str, Any]:
    return create_app(Container(settings=Settings(**settings))).openapi()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return make_document(
        issuer="https://api.example.com/shop/", signing_secret="x" * 32, sign_up=True
    )


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def walk(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object with its path."""
    if isinstance(node, dict):
        yield path, node
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for name, child in children:
        if isinstance(child, dict | list):
            yield from walk(child, f"{path}/{name}")


async def test_openapi_document_is_served(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")


def test_operations_keep_their_ids_and_order(operations: dict[str, dict[str, Any]]) -> None:
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
        "GET /.well-known/oauth-protected-resource": "resource_metadata",
        "GET /livez": "livez",
        "GET /readyz": "readyz",
    }
    assert next(iter(operations)) == "POST /login"


def test_every_integer_states_its_range_and_its_format(document: dict[str, Any]) -> None:
    integers = {path: node for path, node in walk(document) if node.get("type") == "integer"}
    assert len(integers) > 8
    for path, node in integers.items():
        assert {type(node["minimum"]), type(node["maximum"])} == {int}, path
        assert node.get("format") == ("int64" if node["maximum"] > MAX_INT32 else None), path
    # The id of an order in three parameters and in an answer, and that of a user.
    assert [node["maximum"] for node in integers.values()].count(MAX_INT64) == 5


@pytest.mark.parametrize(("name", "form"), [("login", "LoginForm"), ("revoke", "RevokeForm")])
def test_forms_are_named_flat_schemas(document: dict[str, Any], name: str, form: str) -> None:
    body = document["paths"][f"/{name}"]["post"]["requestBody"]
    content = body["content"]["application/x-www-form-urlencoded"]
    assert content["schema"] == {"$ref": f"#/components/schemas/{form}"}
    schema = document["components"]["schemas"][form]
    assert schema.keys() <= {"type", "title", "description", "properties", "required", "examples"}
    for field in schema["properties"].values():
        assert field["type"] == "string"
        assert field.get("default") in {None, *field.get("enum", [])}
    assert content["example"] == schema["examples"][0]


def test_document_calls_no_value_nullable_that_is_never_null(document: dict[str, Any]) -> None:
    nullable = {
        path
        for path, node in walk(document)
        if {"type": "null"} in node.get("anyOf", []) or node.get("default", "") is None
    }
    assert nullable == {"/components/schemas/OrderPage/properties/next_cursor"}


def test_component_names_are_their_titles(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {name for name, schema in schemas.items() if schema.get("title", name) != name} == set()
    assert not [name for name in schemas if name.endswith(("In", "Out", "-Input", "-Output"))]


def test_currency_of_an_answer_is_that_of_a_request(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("Order", "NewOrder"):
        assert schemas[name]["properties"]["currency"] == {"$ref": "#/components/schemas/Currency"}
    assert {"EUR", "JPY"} < set(schemas["Currency"]["enum"])


def test_every_member_has_a_description(document: dict[str, Any]) -> None:
    members = {
        (schema_name, name): member
        for schema_name, schema in document["components"]["schemas"].items()
        for name, member in schema.get("properties", {}).items()
    }
    assert len(members) > 60
    assert [
        name for name, member in members.items() if not {"description", "$ref"} & member.keys()
    ] == []


def test_descriptions_say_nothing_about_the_implementation(document: dict[str, Any]) -> None:
    internal = re.compile(r"pydantic|fastapi|this model|for the document|dataclass", re.IGNORECASE)
    objects = list(walk(document))
    described = {path: str(node.get("description", "")) for path, node in objects}
    assert not [path for path, text in described.items() if internal.search(text)]
    names = {
        word
        for _, node in objects
        for key, value in node.items()
        if key != "description"
        for word in (key, *(value if isinstance(value, list) else [value]))
        if isinstance(word, str)
    }
    marked = {name for text in described.values() for name in re.findall(r"`(\w+)`", text)}
    assert marked
    assert marked - names == set()


def test_error_answers_are_references_to_shared_components(
    document: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    shared = document["components"]["responses"]
    used = set()
    for name, operation in operations.items():
        for status, answer in operation["responses"].items():
            if int(status) < 400:
                continue
            assert list(answer) == ["$ref"], name
            component = answer["$ref"].removeprefix("#/components/responses/")
            used.add(component)
            [(media_type, content)] = shared[component]["content"].items()
            assert media_type == ("application/json" if name in OAUTH else PROBLEM)
            assert content["schema"]["$ref"] == "#/components/schemas/ProblemDetails"
            examples = [example["value"] for example in content["examples"].values()]
            assert {example["status"] for example in examples} == {int(status)}
            assert content["schema"]["properties"]["type"]["enum"] == sorted(
                {example["type"] for example in examples}
            )
    assert used == set(shared)
    texts = [json.dumps(answer, sort_keys=True) for answer in shared.values()]
    assert len(set(texts)) == len(texts)


def test_most_frequent_answer_has_the_short_name(
    document: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    users = Counter(
        answer["$ref"].rpartition("/")[2]
        for operation in operations.values()
        for answer in operation["responses"].values()
        if "$ref" in answer
    )
    for short in ("BadRequest", "NotFound", "UnprocessableContent", "ServiceUnavailable"):
        names = [name for name in document["components"]["responses"] if name.endswith(short)]
        assert len(names) > 1
        assert users[short] == max(users[name] for name in names)


def test_every_operation_lists_its_errors(
    document: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    shared = document["components"]["responses"]
    assert set(operations["GET /livez"]["responses"]) == EVERYWHERE
    assert set(operations["GET /order"]["responses"]) == EVERYWHERE | {
        "304", "401", "403", "404", "412",
    }  # fmt: skip
    assert set(operations["POST /login"]["responses"]) == EVERYWHERE | {"401", "415", "429"}
    for name, operation in operations.items():
        component = operation["responses"]["503"]["$ref"].rpartition("/")[2]
        [content] = shared[component]["content"].values()
        assert ("outcome-unknown" in content["examples"]) is not name.startswith("GET ")


def test_malformed_requests_are_described_where_their_media_type_is(
    document: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    shared = document["components"]["responses"]
    for name, operation in operations.items():
        answer = shared[operation["responses"]["400"]["$ref"].rpartition("/")[2]]
        [content] = answer["content"].values()
        assert ("malformed-request" in content["examples"]) is (name not in OAUTH)


def test_every_header_of_an_answer_has_a_description(document: dict[str, Any]) -> None:
    headers = [
        (path, name, header)
        for path, node in walk(document)
        for name, header in (node["headers"].items() if "headers" in node else ())
    ]
    assert {"ETag", "Link", "Location", "Retry-After", "WWW-Authenticate", "X-Request-ID"} <= {
        name for _, name, _ in headers
    }
    assert not [entry for entry in headers if not entry[2].keys() & {"description", "$ref"}]


def test_parameters_and_bodies_have_examples(operations: dict[str, dict[str, Any]]) -> None:
    lacking = set()
    for name, operation in operations.items():
        contents = operation.get("requestBody", {}).get("content", {})
        for place in [*operation.get("parameters", ()), *contents.values()]:
            if not place.keys() & {"example", "examples"} and "default" not in place["schema"]:
                lacking.add((name, place.get("name")))
    assert lacking == {("GET /orders", "cursor")}  # a cursor comes from the service


def test_successful_answers_have_descriptions_and_true_examples(
    document: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    schemas = document["components"]["schemas"]
    examples: dict[str, Any] = {}
    for name, operation in operations.items():
        [(_, answer)] = [each for each in operation["responses"].items() if each[0][0] == "2"]
        assert re.fullmatch(r"[A-Z].*\.", answer["description"]), name
        for content in answer.get("content", {}).values():
            schema, example = content["schema"], content["example"]
            if schema.get("type") == "array":
                schema, (example,) = schema["items"], example
            examples[name] = example
            members = schemas[schema["$ref"].rpartition("/")[2]]["properties"]
            assert list(example) == list(members), name
    assert len(examples) == len(operations) - 4  # a 204 has no body
    placed = operations["POST /orders"]["responses"]["201"]["headers"]["Location"]["example"]
    assert placed == f"orders/{examples['POST /orders']['id']}"
    assert examples["POST /orders"]["status"] == "placed"
    assert examples["POST /orders/{id}/cancel"]["status"] == "cancelled"
    body = operations["POST /users"]["requestBody"]["content"]["application/json"]["example"]
    assert examples["POST /users"]["username"] == body["username"]


@pytest.mark.parametrize(("name", "form"), [("login", "LoginForm"), ("revoke", "RevokeForm")])
def test_example_of_a_missing_field_names_a_field_of_the_form(
    document: dict[str, Any], name: str, form: str
) -> None:
    answer = document["paths"][f"/{name}"]["post"]["responses"]["400"]["$ref"].rpartition("/")[2]
    content = document["components"]["responses"][answer]["content"]["application/json"]
    detail = content["examples"]["invalid-request"]["value"]["detail"]
    [field] = re.findall("The form field (.*) is missing", detail)
    assert field in document["components"]["schemas"][form]["properties"]


def test_addresses_come_from_the_issuer(document: dict[str, Any]) -> None:
    assert document["servers"] == [{"url": "https://api.example.com/shop"}]
    flow = document["components"]["securitySchemes"]["password"]["flows"]["password"]
    assert flow["tokenUrl"] == "https://api.example.com/shop/login"


def test_protected_operations_take_either_scheme(
    document: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    schemes = document["components"]["securitySchemes"]
    assert (schemes["password"]["type"], schemes["bearer"]["scheme"]) == ("oauth2", "bearer")
    assert schemes["password"]["flows"]["password"]["scopes"] == {
        "orders:read": "Read your orders",
        "orders:write": "Place and cancel your orders",
        "account": "Manage your account and your sessions",
    }
    assert operations["GET /order"]["security"] == [
        {"password": ["orders:read"]},
        {"bearer": []},
    ]
    public = {name for name, operation in operations.items() if operation["security"] == []}
    assert public == {
        "POST /login", "POST /revoke", "POST /users", "GET /livez", "GET /readyz",
        "GET /.well-known/jwks.json", "GET /.well-known/oauth-authorization-server",
        "GET /.well-known/oauth-protected-resource",
    }  # fmt: skip


def test_tags_are_declared_with_sign_in_first(
    document: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    declared = [tag["name"] for tag in document["tags"]]
    assert declared[0] == "authentication"
    assert all(tag["description"] for tag in document["tags"])
    assert {tag for operation in operations.values() for tag in operation["tags"]} == set(declared)
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}


def test_document_of_another_issuer_names_no_sign_in() -> None:
    document = make_document(
        issuer="https://issuer.example.com",
        jwks_url="https://issuer.example.com/jwks",
        audience="shop",
    )
    assert "servers" not in document
    assert list(document["components"]["securitySchemes"]) == ["bearer"]
    assert document["paths"]["/order"]["get"]["security"] == [{"bearer": ["orders:read"]}]


def test_document_with_another_issuer_has_the_public_url() -> None:
    document = make_document(
        issuer="https://issuer.example.com",
        jwks_url="https://issuer.example.com/jwks",
        audience="shop",
        public_url="https://api.example.com/shop/",
    )
    assert document["servers"] == [{"url": "https://api.example.com/shop"}]
    assert "/.well-known/oauth-protected-resource" in document["paths"]


class Note(BaseModel):
    text: str


def test_document_keeps_what_other_routes_describe() -> None:
    router = APIRouter()
    described: dict[int | str, dict[str, Any]] = {
        400: {"model": Note},
        401: {"description": "Only members read notes."},
        404: {"content": {"text/plain": {}}},
        "5XX": {"description": "Try again."},
        "default": {"description": "Anything else."},
    }
    extra = {"responses": {"409": {"$ref": "#/components/responses/Taken"}}}

    @router.get("/notes", responses=described, openapi_extra=extra)
    async def read_notes(user: CurrentUser, page: int) -> Note:
        raise NotImplementedError

    app = create_app(Container(settings=Settings(signing_secret="x" * 32)))
    app.include_router(router)
    document = app.openapi()
    answers = document["paths"]["/notes"]["get"]["responses"]
    note = {"schema": {"$ref": "#/components/schemas/Note"}}
    assert answers["400"]["content"]["application/json"] == note
    assert "invalid-header" in answers["400"]["content"][PROBLEM]["examples"]
    unauthorized = answers["401"]["$ref"].rpartition("/")[2]
    component = document["components"]["responses"][unauthorized]
    assert component["description"] == "Only members read notes."
    assert "token-required" in component["content"][PROBLEM]["examples"]
    assert answers["404"]["content"] == {"text/plain": {}}
    assert answers["409"] == {"$ref": "#/components/responses/Taken"}
    assert (answers["5XX"]["description"], answers["default"]["description"]) == (
        "Try again.",
        "Anything else.",
    )
    assert answers["422"]["$ref"].startswith("#/components/responses/")
