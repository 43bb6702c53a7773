"""Modules in pages of the documentation, imported for a server."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.pages import DOCUMENTED_URL, MODULE
from tests.support.program.server import Server

DOCS = Path(__file__).parents[3] / "docs"
ImportModule = Callable[[str, str, Server], ModuleType]


@pytest.fixture
def import_module_of_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImportModule:
    """Return a function that imports a page's module for a server's address."""

    def imported(page: str, module: str, server: Server) -> ModuleType:
        for name, code in MODULE.findall((DOCS / page).read_text()):
            (tmp_path / name).write_text(code.replace(DOCUMENTED_URL, server.url))
            monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
        monkeypatch.syspath_prepend(str(tmp_path))
        return import_module(module)

    return imported
