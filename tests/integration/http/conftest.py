"""An HTTP client: in process on memory, or of a SQLite server.

Every test of this folder runs twice: with compiled routes, and with those of FastAPI itself.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.api.http_client import CLIENT_KINDS, MANY, in_process_client, register_new_user
from tests.support.program.command import SECONDS
from tests.support.program.server import Server, Start, serve_orders

UNCOMPILED = str(Path(__file__).parents[3] / "bench" / "apps" / "uncompiled.py")


@contextmanager
def answered_by(routes: str) -> Iterator[None]:
    """Choose who answers, also for servers that start later."""
    with pytest.MonkeyPatch.context() as patch:
        if routes == "uncompiled":
            patch.setattr("tests.support.program.server.PROGRAM", (UNCOMPILED,))
            patch.setattr("ordergate.entrypoints.http.app.compile_routes", lambda *_, **__: None)
        yield


@pytest.fixture(
    scope="session", params=["compiled", pytest.param("uncompiled", marks=pytest.mark.uncompiled)]
)
def routes(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def answered(routes: str) -> Iterator[None]:
    with answered_by(routes):
        yield


@pytest.fixture(scope="session")
def start_once(routes: str) -> Iterator[Start]:
    """Start servers for several tests."""
    with ExitStack() as stack:

        def started(*arguments: object, **options: Any) -> Server:
            with answered_by(routes):
                server = Server.start(*arguments, **options)
            stack.callback(server.stop)
            return server

        yield started


@pytest.fixture(scope="session")
def served(routes: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ExitStack() as stack:
        with answered_by(routes):
            server = stack.enter_context(serve_orders(tmp_path_factory.mktemp(routes)))
        yield server


@pytest.fixture(params=CLIENT_KINDS)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx2.AsyncClient]:
    if request.param != "through a server":
        client = await in_process_client()
    else:
        served: Server = request.getfixturevalue("served")
        client = httpx2.AsyncClient(base_url=served.url, limits=MANY, timeout=SECONDS)
    async with client:
        yield client


@pytest.fixture
async def alice(client: httpx2.AsyncClient) -> dict[str, str]:
    return await register_new_user(client)


@pytest.fixture
async def bob(client: httpx2.AsyncClient) -> dict[str, str]:
    return await register_new_user(client)
