"""Parts and clients of applications on memory with an adopter's routers.

`ordergate.testing` makes the applications, as it does for an adopter.
"""

from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.testclient import TestClient

from ordergate.adapters.memory import InMemoryStorage
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from tests.support.doubles import InstantPasswordHasher

SECRET = "a secret of more than thirty-two bytes"


def make_services(**settings: Any) -> Container:
    """Make the parts of a service that accepts tokens without a session."""
    defaults = {"signing_secret": SECRET, "revocation": "until-expiry"}
    return Container(
        settings=Settings(**{**defaults, **settings}),
        storage=InMemoryStorage(),
        hasher=InstantPasswordHasher(),
    )


def make_client(app: FastAPI, *, raises: bool = False) -> TestClient:
    return TestClient(app, raise_server_exceptions=raises)


def list_values(answer: httpx2.Response, name: str) -> list[str]:
    """Return the values of a header in their order."""
    return [value for key, value in answer.headers.multi_items() if key == name]
