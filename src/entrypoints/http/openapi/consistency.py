"""Consistency tokens in the OpenAPI document."""

from typing import Any

from ordergate.entrypoints.http.middleware.consistency import NO_WRITE, TOKEN_FIELD
from ordergate.entrypoints.http.openapi.responses import header, header_parameter
from ordergate.entrypoints.http.openapi.shared import walk_operations

_EXAMPLE = "jC3v0cJmGqk7bq2kqf0W5n6Xb3VxG1yTq0aZ"


def describe_consistency(document: dict[str, Any]) -> None:
    """Describe the header of reads of orders, and of answers to writes."""
    for method, operation in walk_operations(document):
        if "orders" not in operation.get("tags", ()):
            continue
        if method == "get":
            operation.setdefault("parameters", []).append(
                header_parameter(
                    TOKEN_FIELD,
                    "The token of your last answer to a write; of parallel writes, all tokens"
                    " between commas. The answer has these writes, and may lack writes of others."
                    " Without it, the answer is the newest. A client that has written nothing"
                    f" sends `{NO_WRITE}`.",
                    _EXAMPLE,
                )
            )
            continue
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                response.setdefault("headers", {})[TOKEN_FIELD] = header(
                    "The token for the reads that need this write.", _EXAMPLE
                )
