"""Clients of an application on memory with an adopter's routers."""

from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.testclient import TestClient

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.ports.tokens import Caller
from ordergate.application.sessions.revocation import NoRevocation
from ordergate.domain.scope import BUILT_IN_SCOPES
from ordergate.domain.user import UserId
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.doubles import InstantPasswordHasher

SECRET = "a secret of more than thirty-two bytes"


def make_services(**settings: Any) -> Container:
    return Container(
        settings=Settings(signing_secret=SECRET, **settings),
        storage=InMemoryStorage(),
        hasher=InstantPasswordHasher(),
        revocation=NoRevocation(),
    )


def make_app(**settings: Any) -> FastAPI:
    return create_app(make_services(**settings))


def authorize(app: FastAPI, user_id: int = 1) -> dict[str, str]:
    """Return the header of a user's token."""
    token = (
        app.state.services.tokens()
        .issue(Caller(UserId(user_id), "c", frozenset(BUILT_IN_SCOPES)))
        .value
    )
    return {"Authorization": f"Bearer {token}"}


def make_client(app: FastAPI, *, raises: bool = False) -> TestClient:
    return TestClient(app, raise_server_exceptions=raises)


def repeated(answer: httpx2.Response, name: str) -> list[str]:
    """Return the values of a header in their order."""
    return [value for key, value in answer.headers.multi_items() if key == name]
