"""The OpenAPI document is held against the server by a fuzzer that knows neither."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import PASSWORD, Server, clean_environment

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.mark.parametrize("username", ["user1", None], ids=["signed in", "nobody"])
def test_the_server_does_what_its_document_says(
    served: Server, tmp_path: Path, username: str | None
) -> None:
    """Every check there is; a fixed seed, so that a run can be repeated."""
    options = ["--checks", "all", "--seed", "1", "--continue-on-failure", "--no-color"]
    if username is not None:
        form = {"username": username, "password": PASSWORD}
        token = httpx.post(f"{served.url}/login", data=form).json()["access_token"]
        options += ["--header", f"Authorization: Bearer {token}"]
    result = subprocess.run(
        [SCHEMATHESIS, "run", f"{served.url}/openapi.json", *options],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    paths = httpx.get(f"{served.url}/openapi.json").json()["paths"]
    operations = sum(len(methods) for methods in paths.values())
    assert f"{operations} selected / {operations} total" in result.stdout
