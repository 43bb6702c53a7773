"""docs/clients.md names what `make test-clients` installs and runs."""

import json
import re
from pathlib import Path

from tests.clients.test_generated_clients import PYTHON, TYPESCRIPT
from tests.clients.workshop import PAGE
from tests.integration.clients.test_python_oauth2_libraries import LIBRARIES

ROOT = Path(__file__).parents[3]
CLIENTS = ROOT / "tests" / "clients"


def list_installed(tool: str, page: str = PAGE) -> set[str]:
    """List the packages that the commands of the page install."""
    commands = re.findall(rf"^`?{tool} install (?:--save-dev )?([^`\n]+)", page, re.MULTILINE)
    return {re.sub(r'"|\[\w+\]', "", name) for names in commands for name in names.split()}


def test_npm_packages_of_the_page_are_locked_in_exact_versions() -> None:
    package = json.loads((CLIENTS / "package.json").read_text())
    versions = package["dependencies"] | package["devDependencies"]
    assert list_installed("npm") - versions.keys() == set()
    assert len(list_installed("npm")) > 8
    assert all(re.fullmatch(r"[\d.]+", version) for version in versions.values())


def list_locked(lock: Path) -> set[str]:
    return set(re.findall(r"^([\w-]+)==", lock.read_text(), re.MULTILINE))


def test_python_packages_of_the_pages_are_locked() -> None:
    """The project's lock has OAuth2 libraries, the clients' lock has generators."""
    generators, _, libraries = PAGE.partition("## openid-client")
    verifiers = (ROOT / "docs" / "verify-tokens.md").read_text()
    assert list_installed("pip", generators) - list_locked(CLIENTS / "requirements.lock") == set()
    locked = list_locked(ROOT / "requirements-dev.lock")
    assert list_installed("pip", libraries) - locked == set()
    assert list_installed("pip", verifiers) - locked == set()
    assert "openapi-generator-cli" in list_installed("pip", generators)
    assert len(list_installed("pip", libraries) | list_installed("pip", verifiers)) > 7


def test_npm_lock_holds_hashes_and_no_addresses() -> None:
    text = (CLIENTS / "package-lock.json").read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    locked = [package for path, package in packages.items() if path]
    assert len(locked) > 300
    assert all("integrity" in package for package in locked)


def test_every_section_with_commands_is_run() -> None:
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    with_commands = {part.partition("\n")[0] for part in sections if "```sh" in part}
    assert with_commands == {
        *TYPESCRIPT,
        *PYTHON,
        "openapi-generator for other languages",
        "Postman",
    }


def test_every_oauth2_library_for_python_is_run() -> None:
    assert {f"{library.module}.py" for library in LIBRARIES} == set(
        re.findall(r"^# (\w+_client\.py)$", PAGE, re.MULTILINE)
    )
