"""Statements and waits of the PostgreSQL tests."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from sqlalchemy import text

from ordergate.application.errors import StorageUnavailable


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.01)


async def wait_for_blocked_lock(rival: "asyncpg.Connection[asyncpg.Record]") -> None:
    await eventually(lambda: rival.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


SLEEP = text("SELECT pg_sleep(60)")
ONE = text("SELECT 1")


async def assert_unavailable_within(seconds: float, work: Awaitable[object], words: str) -> None:
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match=words):
        await work
    assert time.monotonic() - began < seconds
