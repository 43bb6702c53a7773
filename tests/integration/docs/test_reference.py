"""The words of the API reference."""

from typing import Any

import pytest

from tools.docs.schema import describe


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "minLength": 1}, "string, at least 1 character"),
        ({"type": "string", "maxLength": 255}, "string, at most 255 characters"),
        ({"type": "string", "minLength": 1, "maxLength": 64}, "string, 1 to 64 characters"),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1},
            "array of string, 1 item",
        ),
        ({"type": "integer", "minimum": 1, "maximum": 1_000_000}, "integer, 1 to 1,000,000"),
        ({"type": "integer", "format": "int64", "minimum": 1}, "integer (int64), at least 1"),
        ({"$ref": "#/components/schemas/Order"}, "[Order](schemas.md#Order)"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
    ],
)
def test_describe_writes_a_schema_in_words(schema: dict[str, Any], words: str) -> None:
    assert describe(schema) == words
