"""An HTTP client, in process on memory and through a real server on SQLite."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.command import SECONDS
from tests.support.http_client import CLIENT_KINDS, MANY, in_process_client, register_new_user
from tests.support.server import Server


@pytest.fixture(params=CLIENT_KINDS)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    if request.param != "through a server":
        client = await in_process_client(compiled=request.param == "compiled")
    else:
        served: Server = request.getfixturevalue("served")
        client = httpx.AsyncClient(base_url=served.url, limits=MANY, timeout=SECONDS)
    async with client:
        yield client


@pytest.fixture
async def alice(client: httpx.AsyncClient) -> dict[str, str]:
    return await register_new_user(client)


@pytest.fixture
async def bob(client: httpx.AsyncClient) -> dict[str, str]:
    return await register_new_user(client)
