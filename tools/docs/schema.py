"""JSON Schemas in words, and examples of them."""

import json
from collections.abc import Mapping
from typing import Any

Node = Mapping[str, Any]

SCHEMAS = "schemas.md"
_FEW = 12
"""An enumeration of so many values is written out where it is used."""
_RANGES = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", "character"),
    ("minItems", "maxItems", "item"),
)
_COMBINATIONS = {"anyOf": " or ", "oneOf": " or ", "allOf": " and "}


def resolve(document: Node, node: Node) -> Node:
    """Follow the references of a node within its document."""
    while reference := node.get("$ref"):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        node = found
    return node


def describe(schema: Node, *, whole: bool = False) -> str:
    """Describe a schema in a few words.

    `whole` writes out a long enumeration.
    """
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}]({SCHEMAS}#{name})"
    for combination, joint in _COMBINATIONS.items():
        if combination in schema:
            return joint.join(describe(part, whole=whole) for part in schema[combination])
    if "const" in schema:
        return f"`{schema['const']}`"
    if values := schema.get("enum"):
        if len(values) > _FEW and not whole:
            return f"one of {len(values)} values"
        return ", ".join(f"`{value}`" for value in values)
    return ", ".join([_kind(schema), *_limits(schema)])


def _kind(schema: Node) -> str:
    kind = schema.get("type", "any value")
    if isinstance(kind, list):
        kind = " or ".join(kind)
    if kind == "array":
        return f"array of {describe(schema.get('items', {}))}"
    values = schema.get("additionalProperties")
    if isinstance(values, dict) and "properties" not in schema:
        return f"object of {describe(values)}"
    form = schema.get("format")
    return f"{kind} ({form})" if form else str(kind)


def _limits(schema: Node) -> list[str]:
    limits = [
        _range(schema.get(least), schema.get(most), unit)
        for least, most, unit in _RANGES
        if least in schema or most in schema
    ]
    pattern = schema.get("pattern")
    return [*limits, f"`{pattern}`"] if pattern else limits


def _range(least: float | None, most: float | None, unit: str) -> str:
    low, high = (None if value is None else f"{int(value):,}" for value in (least, most))
    if low is None:
        words = f"at most {high}"
    elif high is None:
        words = f"at least {low}"
    else:
        words = low if low == high else f"{low} to {high}"
    if not unit:
        return words
    return f"{words} {unit}" if words.split()[-1] == "1" else f"{words} {unit}s"


def example(document: Node, schema: Node) -> object:
    """Return an example of a schema, or one of its members' examples."""
    schema = resolve(document, schema)
    given = [schema[key] for key in ("example", "const", "default") if key in schema]
    values = schema.get("examples") or given or schema.get("enum")
    if values:
        return values[0]
    parts = next((schema[key] for key in _COMBINATIONS if key in schema), None)
    if parts:
        return example(document, parts[0])
    if "properties" in schema:
        return {name: example(document, field) for name, field in schema["properties"].items()}
    return [example(document, schema.get("items", {}))] if schema.get("type") == "array" else "…"


def as_json(value: object) -> str:
    """Write a block of JSON."""
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"
