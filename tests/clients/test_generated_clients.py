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


PYTHON = {
    "openapi-generator for Python": ("openapi_generator", "client"),
    "openapi-python-client": ("openapi_python_client", "."),
}
"""The sections of the page, the adapters of their clients, and the folders of these."""


@pytest.mark.parametrize("section", PYTHON, ids=[adapter for adapter, _ in PYTHON.values()])
def test_python_client_passes_mypy_and_works(workshop: Workshop, section: str) -> None:
    adapter, folder = PYTHON[section]
    workshop.write_modules(section)
    workshop.run_commands(section)
    workshop.copy("flow.py", f"generated/{adapter}.py", f"generated/{adapter}.ini")
    programs = ("first_order.py", f"{adapter}.py")
    mypy = ("python", "-m", "mypy", f"--config-file={adapter}.ini")
    workshop.run(*mypy, *programs, f"{folder}/orders_client")
    first_order, _ = (
        workshop.run("env", f"PYTHONPATH={folder}", "python", program) for program in programs
    )
    assert int(first_order) >= FIRST_RANDOM_ID


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
