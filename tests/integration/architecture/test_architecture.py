"""The arrows of the house, and that each rule can fail."""

import ast
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests.support.program.captured_output import run_program

ROOT = Path(__file__).parents[3]
LINTER = Path(sys.executable).with_name("lint-imports")

BREAKS = {
    "Arrows point inward": (
        "application/orders/get_own_order.py",
        "import ordergate.adapters.memory",
    ),
    "Use cases import ports": (
        "application/ports/clock.py",
        "import ordergate.application.auditing",
    ),
    "Domain and application reach no framework": ("application/ports/clock.py", "import pydantic"),
    "Adapters are imported by": (
        "entrypoints/http/orders/routes.py",
        "import ordergate.adapters.memory",
    ),
    "Adapters are independent": ("adapters/sql/tables.py", "import ordergate.adapters.memory"),
    "SQLite, PostgreSQL and MySQL are independent": (
        "adapters/sql/postgres/database.py",
        "import ordergate.adapters.sql.sqlite.database",
    ),
    "Routes of orders and of identity": (
        "entrypoints/http/orders/routes.py",
        "import ordergate.entrypoints.http.identity.login",
    ),
    "The route compiler is imported": (
        "entrypoints/http/orders/routes.py",
        "import ordergate.entrypoints.http.compiled.route_table",
    ),
    "The HTTP side does not know": (
        "entrypoints/http/app.py",
        "import ordergate.entrypoints.container",
    ),
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "types").mkdir()
    (tmp_path / "types" / "ordergate").symlink_to(tmp_path / "src")
    return tmp_path


def lint(house: Path) -> subprocess.CompletedProcess[str]:
    return run_program(
        [LINTER, "--no-cache", "--no-logo"],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house / "types"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


def test_import_contracts_hold(house: Path) -> None:
    result = lint(house)
    assert result.returncode == 0, result.stdout
    assert f"Contracts: {len(BREAKS)} kept, 0 broken." in result.stdout


@pytest.mark.parametrize("rule", BREAKS)
def test_import_contract_fails_when_an_import_breaks_it(house: Path, rule: str) -> None:
    file, line = BREAKS[rule]
    module = house / "src" / file
    module.write_text(f"{module.read_text()}\n{line}\n")
    result = lint(house)
    assert result.returncode == 1
    assert any(
        found.startswith(rule) and " BROKEN" in found for found in result.stdout.splitlines()
    ), result.stdout


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("domain", ("ordergate.domain",)),
        ("application", ("ordergate.application", "ordergate.domain")),
    ],
)
def test_core_imports_only_the_standard_library_and_itself(
    package: str, allowed: tuple[str, ...]
) -> None:
    files = sorted((ROOT / "src" / package).rglob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                is_standard = name.partition(".")[0] in sys.stdlib_module_names
                assert is_standard or name.startswith(allowed), f"{file.name}: {name}"


def test_passlib_is_the_maintained_fork() -> None:
    assert distribution("libpass").version
    with pytest.raises(PackageNotFoundError):
        distribution("passlib")
