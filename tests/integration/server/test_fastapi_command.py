"""The application that `fastapi run` and `fastapi dev` find."""

import tomllib
from pathlib import Path

import httpx2
import pytest

from ordergate.entrypoints import asgi
from tests.support.program.command import ordergate
from tests.support.program.server import Start

PYPROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())


@pytest.mark.process
def test_entrypoint_of_the_fastapi_command_is_the_application(tmp_path: Path, start: Start) -> None:
    """The command gives the entrypoint to uvicorn without `--factory`."""
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    server = start(PYPROJECT["tool"]["fastapi"]["entrypoint"], module="uvicorn", cwd=tmp_path)
    assert httpx2.get(f"{server.url}/readyz").status_code == 200
    assert not [line for line in server.output if "factory" in line]


def test_application_is_made_when_it_is_read() -> None:
    assert "app" not in vars(asgi)
    with pytest.raises(AttributeError, match="has no attribute 'application'"):
        asgi.__getattr__("application")
