"""A server for generated clients, and the folder where they are made."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.workshop import TOOLS, Workshop
from tests.support.program.command import PATIENT
from tests.support.program.server import Server, serve_demo


@pytest.fixture(scope="session")
def tools() -> Path:
    if not (TOOLS / "node_modules").exists():
        pytest.fail("the tools are missing; `make test-clients` installs them", pytrace=False)
    return TOOLS


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve_demo(tmp_path_factory.mktemp("demo"), **PATIENT) as server:
        yield server


@pytest.fixture
def workshop(tools: Path, demo: Server, request: pytest.FixtureRequest) -> Workshop:
    """Return a new folder where node finds the packages of the tools."""
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    folder = tools / "work" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Workshop(folder, demo.url)
