"""The API reference: Markdown from the OpenAPI document."""

from collections import defaultdict
from collections.abc import Sequence

from tools.docs.schema import Node, as_json, describe, example, resolve

_FORM = "application/x-www-form-urlencoded"
_NO_TYPE = "about:blank"
_ERRORS = "300"
"""Answers from this status on are problems, or have no body."""


class Reference:
    """The pages of one OpenAPI 3.1 document."""

    def __init__(self, document: Node) -> None:
        self._document = document
        self._operations: dict[str, list[tuple[str, str, Node]]] = defaultdict(list)
        for tag in document.get("tags", ()):
            self._operations[tag["name"]] = []
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                self._operations[operation["tags"][0]].append((method, path, operation))
        self._everywhere = self._headers_of_all_answers()

    def operations(self) -> str:
        """Return the page of the operations, by tag."""
        about = {tag["name"]: tag.get("description") for tag in self._document.get("tags", ())}
        parts = ["# Operations", self._document["info"].get("description")]
        for tag, operations in self._operations.items():
            parts += [f"## {tag.replace('-', ' ').capitalize()}", about.get(tag)]
            parts += [self._operation(*operation) for operation in operations]
        return _join(*parts)

    def schemas(self) -> str:
        """Return the page of the schemas, by name."""
        schemas = self._document["components"]["schemas"]
        return _join("# Schemas", *(self._schema(name, schemas[name]) for name in sorted(schemas)))

    def _headers_of_all_answers(self) -> set[str]:
        """Return the headers that every answer has; the tables leave them out."""
        headers = [
            set(resolve(self._document, answer).get("headers", ()))
            for operations in self._operations.values()
            for _, _, operation in operations
            for answer in operation["responses"].values()
        ]
        return set.intersection(*headers)

    def _operation(self, method: str, path: str, operation: Node) -> str:
        return _join(
            f"### {operation['summary']} {{ #{operation['operationId']} }}",
            f"```http\n{method.upper()} {path} HTTP/1.1\n```",
            operation.get("description"),
            _authentication(operation),
            self._parameters(operation),
            self._body(operation),
            self._answers(operation),
        )

    def _parameters(self, operation: Node) -> str | None:
        rows = [
            (
                f"`{parameter['name']}`",
                parameter["in"] + (", required" if parameter.get("required") else ""),
                describe(parameter.get("schema", {})),
                parameter.get("description", ""),
            )
            for node in operation.get("parameters", ())
            for parameter in [resolve(self._document, node)]
        ]
        head = ("name", "in", "type", "description")
        return _join("#### Parameters", _table(head, rows)) if rows else None

    def _body(self, operation: Node) -> str:
        body = resolve(self._document, operation.get("requestBody", {}))
        return _join(
            *(
                _join(
                    f"#### Request body\n\n`{media_type}`: {describe(content['schema'])}",
                    self._fields(content["schema"]),
                    self._example(media_type, content),
                )
                for media_type, content in body.get("content", {}).items()
            )
        )

    def _answers(self, operation: Node) -> str:
        rows, examples = [], []
        for status, node in sorted(operation["responses"].items()):
            answer = resolve(self._document, node)
            content = answer.get("content", {})
            bodies = [describe(body.get("schema", {})) for body in content.values()]
            if status < _ERRORS:
                examples += [self._example(kind, body) for kind, body in content.items()]
            else:
                bodies = [name for body in content.values() for name in self._types(body)] or bodies
            headers = [name for name in answer.get("headers", ()) if name not in self._everywhere]
            rows.append(
                (
                    f"`{status}`",
                    answer.get("description", ""),
                    ", ".join(dict.fromkeys(bodies)),
                    ", ".join(f"`{name}`" for name in headers),
                )
            )
        head = ("status", "description", "body, or the type of the problem", "headers")
        return _join("#### Responses", _table(head, rows), *examples)

    def _types(self, body: Node) -> list[str]:
        """Return the types of the problems that are examples of a body."""
        values = [
            resolve(self._document, named)["value"] for named in body.get("examples", {}).values()
        ]
        types = [value["type"] for value in values if "type" in value]
        return [f"`{name if name == _NO_TYPE else name.rpartition(':')[2]}`" for name in types]

    def _schema(self, name: str, schema: Node) -> str:
        members = self._fields(schema) or describe(schema, whole=True)
        return _join(f"## {name} {{ #{name} }}", schema.get("description"), members)

    def _fields(self, schema: Node) -> str | None:
        required = schema.get("required", ())
        rows = [
            (
                f"`{name}`" + ("" if name in required else "<br>optional"),
                describe(field, whole=True),
                field.get("description") or resolve(self._document, field).get("description", ""),
            )
            for name, field in schema.get("properties", {}).items()
        ]
        return _table(("member", "type", "description"), rows) if rows else None

    def _example(self, media_type: str, content: Node) -> str | None:
        named = next(iter(content.get("examples", {}).values()), None)
        if named:
            value: object = resolve(self._document, named)["value"]
        else:
            value = content.get("example") or example(self._document, content.get("schema", {}))
        if media_type != _FORM:
            return as_json(value)
        fields = value.items() if isinstance(value, dict) else ()
        return "```\n" + "&".join(f"{name}={text}" for name, text in fields) + "\n```"


def _authentication(operation: Node) -> str:
    if not operation.get("security"):
        return "Needs no authentication."
    scopes = [
        f"`{scope}`"
        for requirement in operation["security"]
        for granted in requirement.values()
        for scope in granted
    ]
    named = " and ".join(dict.fromkeys(scopes))
    return f"Needs an access token{f' with the scope {named}' if named else ''}."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(
        "| " + " | ".join(" ".join(cell.split()) for cell in line) + " |"
        for line in (head, ["---"] * len(head), *rows)
    )


def _join(*parts: str | None) -> str:
    return "\n\n".join(part.strip() for part in parts if part)
