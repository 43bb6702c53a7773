"""The start and the end of an application."""

import asyncio
from pathlib import Path

from fastapi.testclient import TestClient

from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.program.command import PASSWORD


def test_application_serves_again_after_a_shutdown(tmp_path: Path) -> None:
    """An adopter's tests start a module's application once for each test."""
    settings = Settings(signing_secret="x" * 32, bcrypt_cost=4, home=tmp_path / ".ordergate")
    asyncio.run(Container(settings=settings).storage().migrate())
    app = create_app(Container(settings=settings))
    for name in ("alice", "bob"):
        account = {"username": name, "password": PASSWORD}
        with TestClient(app) as client:
            assert client.post("/users", json=account).status_code == 201
            assert client.post("/login", data=account).status_code == 200
