"""Each generator of docs/clients.md makes a client that compiles and works."""

import pytest

from tests.clients.workshop import Workshop

FIRST_RANDOM_ID = 2**52

TYPESCRIPT = {
    "openapi-typescript and openapi-fetch": "openapi-fetch",
    "hey-api": "hey-api",
    "orval": "orval",
    "openapi-generator for TypeScript": "typescript-fetch",
}
"""The sections of the page, and the adapters of their clients to the flow."""


@pytest.mark.parametrize(("section", "adapter"), TYPESCRIPT.items(), ids=TYPESCRIPT.values())
def test_typescript_client_compiles_and_works(
    workshop: Workshop, section: str, adapter: str
) -> None:
    workshop.write_modules(section)
    workshop.run_commands(section)
    workshop.copy("flow.ts", f"generated/{adapter}.ts")
    first_order, _ = workshop.run_typescript("first-order", adapter)
    assert int(first_order) >= FIRST_RANDOM_ID


def test_python_client_compiles_and_works(workshop: Workshop) -> None:
    """The generated code passes mypy, and what uses it passes `mypy --strict`."""
    workshop.write_modules("openapi-generator for Python")
    workshop.run_commands("openapi-generator for Python")
    workshop.copy("generated/python_client.py")
    workshop.run("python", "-m", "mypy", "--config-file=", "client/orders_client")
    (workshop.folder / "strict.ini").write_text(
        "[mypy]\nstrict = true\nmypy_path = client\n[mypy-orders_client.*]\nignore_errors = true\n"
    )
    workshop.run(
        "python", "-m", "mypy", "--config-file=strict.ini", "first_order.py", "python_client.py"
    )
    first_order = workshop.run("env", "PYTHONPATH=client", "python", "first_order.py")
    assert int(first_order) >= FIRST_RANDOM_ID
    workshop.run("env", "PYTHONPATH=client", "python", "python_client.py")


ID_TYPES = {
    "client-go/model_order.go": 'Id int64 `json:"id"`',
    "client-java/src/main/java/org/openapitools/client/model/Order.java": "private Long id;",
    "client-kotlin/src/main/kotlin/org/openapitools/client/models/Order.kt": "val id: kotlin.Long",
    "client-csharp/src/Org.OpenAPITools/Model/Order.cs": "public long Id {",
    "client-rust/src/models/order.rs": "pub id: i64,",
}


def test_clients_in_other_languages_have_ids_of_64_bits(workshop: Workshop) -> None:
    workshop.run_commands("openapi-generator for other languages")
    assert {path.name for path in workshop.folder.iterdir()} == {
        file.partition("/")[0] for file in ID_TYPES
    }
    code = {file: (workshop.folder / file).read_text() for file in ID_TYPES}
    assert [file for file, declaration in ID_TYPES.items() if declaration not in code[file]] == []
