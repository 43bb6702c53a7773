"""A client of an application with immediate revocation."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.support.api.identity_client import application, open_account


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client with the user alice and immediate revocation."""
    async with application(revocation="at-once") as client:
        await open_account(client)
        yield client
