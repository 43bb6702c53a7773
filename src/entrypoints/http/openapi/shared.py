"""Parts of the OpenAPI document that are written once and referenced."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI

from ordergate.entrypoints.http.openapi.responses import PROBLEM_SCHEMA
from ordergate.entrypoints.http.problems.problem import ProblemDetails, get_reason_phrase

REQUEST_ID = {
    "description": "Your own `X-Request-ID`, or a new one. The log has it; quote it in reports.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    "example": "7f1c2a9e5b0d4c3a8e6f1d2c3b4a5968",
}
_NOT_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def walk_operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the method and the description of each operation."""
    for path in document["paths"].values():
        for method in _METHODS:
            if method in path:
                yield method, path[method]


def show_examples(document: dict[str, Any]) -> None:
    """Repeat the first example of a schema where clients look for it.

    Swagger UI, Postman and Bruno read the examples of parameters and of media types, and overlook
    those of schemas. The members of an example are in the order of the schema; pydantic sorts them.
    """
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        if isinstance(schema.get("examples"), list):
            schema["examples"] = [_arrange(each, schema, schemas) for each in schema["examples"]]
    for _, operation in walk_operations(document):
        places = list(operation.get("parameters", ()))
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            places += part.get("content", {}).values()
        for place in places:
            found = _find_example(place.get("schema", {}), schemas)
            if found is not None and place.keys().isdisjoint({"example", "examples"}):
                place["example"] = found


def _find_example(schema: object, schemas: dict[str, Any]) -> object:
    """Return the first example of a schema.

    The example of a list has one item.
    """
    if not isinstance(schema, dict):
        return None
    if examples := schema.get("examples") or _resolve(schema, schemas).get("examples"):
        first: object = examples[0]
        return first
    item = _find_example(schema["items"], schemas) if "items" in schema else None
    return None if item is None else [item]


def _arrange(value: object, schema: dict[str, Any], schemas: dict[str, Any]) -> object:
    """Order the members of a value like the properties of its schema."""
    named = _resolve(schema, schemas)
    if isinstance(value, list):
        return [_arrange(each, named.get("items", {}), schemas) for each in value]
    if not isinstance(value, dict):
        return value
    properties = named.get("properties", {})
    names = dict.fromkeys([*filter(value.__contains__, properties), *value])
    return {name: _arrange(value[name], properties.get(name, {}), schemas) for name in names}


def _resolve(schema: object, schemas: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(schema, dict):
        return {}  # true or false
    named: dict[str, Any] = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    return named


def share_bodies(document: dict[str, Any]) -> None:
    """Name the schemas of bodies that a route has written out.

    Generators of clients make a usable class of a named schema only.
    """
    schemas = document["components"]["schemas"]
    for _, operation in walk_operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = content.get("schema")
            name = _to_name(schema.get("title", "")) if isinstance(schema, dict) else ""
            if name and schemas.setdefault(name, schema) == schema:
                content["schema"] = {"$ref": f"#/components/schemas/{name}"}


def share_headers(document: dict[str, Any]) -> None:
    """Describe `X-Request-ID`, which every answer carries, once."""
    document["components"].setdefault("headers", {})["X-Request-ID"] = REQUEST_ID
    for _, operation in walk_operations(document):
        for response in operation["responses"].values():
            if "$ref" not in response:
                response.setdefault("headers", {}).setdefault(
                    "X-Request-ID", {"$ref": "#/components/headers/X-Request-ID"}
                )


def share_problems(document: dict[str, Any]) -> None:
    """Describe each answer with problems once.

    The name is the reason phrase for the most frequent answer of a status. The others begin with
    the first operation that has them.
    """
    shared = document["components"].setdefault("responses", {})
    for status, answers in _group_by_status(document).items():
        phrase = get_reason_phrase(int(status)).title().replace(" ", "").replace("-", "")
        for place, users in enumerate(sorted(answers, key=len, reverse=True)):
            name = _capitalize(users[0]["operationId"]) + phrase if place else phrase
            while name in shared:
                name += "2"
            shared[name] = users[0]["responses"][status]
            _list_types(shared[name])
            for operation in users:
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}


def _group_by_status(document: dict[str, Any]) -> dict[str, list[list[dict[str, Any]]]]:
    """Group the operations by equal answers of each status."""
    groups: defaultdict[str, defaultdict[str, list[dict[str, Any]]]]
    groups = defaultdict(lambda: defaultdict(list))
    for _, operation in walk_operations(document):
        for status, response in operation["responses"].items():
            contents = response.get("content", {}).values()
            if contents and all(_has_only_problems(content) for content in contents):
                groups[status][json.dumps(response, sort_keys=True)].append(operation)
    return {status: list(groups[status].values()) for status in sorted(groups)}


def _has_only_problems(content: dict[str, Any]) -> bool:
    return bool(content.get("schema") == {"$ref": PROBLEM_SCHEMA})


def _list_types(response: dict[str, Any]) -> None:
    """State the values of `type`, beside the reference to the schema.

    Validators check both. Generators of clients overlook it, and make one class for all problems.
    """
    for content in response["content"].values():
        types = sorted({example["value"]["type"] for example in content["examples"].values()})
        content["schema"] = {"$ref": PROBLEM_SCHEMA, "properties": {"type": {"enum": types}}}


def _capitalize(operation_id: str) -> str:
    return "".join(part.capitalize() for part in _to_name(operation_id, "_").split("_"))


def _to_name(text: str, replacement: str = "") -> str:
    """Return a text with the characters that names of components may have."""
    return _NOT_NAMES.sub(replacement, text)


def rename_reference(node: object, old: str, new: str) -> None:
    """Replace a reference everywhere in a document."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and node.get("$ref") == old:
        node["$ref"] = new
    for child in children:
        rename_reference(child, old, new)


def complete_document(app: FastAPI, complete: Callable[[dict[str, Any]], None]) -> None:
    """Complete each document that FastAPI makes for an application."""
    make = app.openapi
    completed: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        document = make()
        if not (completed and completed[0] is document):
            complete(document)
            completed[:] = [document]
        return document

    app.openapi = openapi  # type: ignore[method-assign] # as FastAPI says to


def add_problem_schemas(document: dict[str, Any]) -> None:
    """Add the schemas of problems, avoiding names of the adopter's schemas."""
    schemas = document["components"]["schemas"]
    problem = ProblemDetails.model_json_schema(
        by_alias=True, ref_template="#/components/schemas/{model}"
    )
    own = {**problem.pop("$defs"), ProblemDetails.__name__: problem}
    for name, schema in own.items():
        final = f"Ordergate{name}" if schemas.get(name, schema) != schema else name
        reference = f"#/components/schemas/{final}"
        rename_reference(own, f"#/components/schemas/{name}", reference)
        if schema is problem:
            rename_reference(document, PROBLEM_SCHEMA, reference)
        schemas[final] = schema
