import asyncio

import pytest

from ordergate.application.concurrency_limit import ConcurrencyLimit
from ordergate.application.errors import TooManyRequests
from tests.support.builders import ALICE, BOB


async def test_requests_of_a_user_beyond_the_limit_wait() -> None:
    limit, running, most = ConcurrencyLimit(under_way=2, waiting=3), 0, 0

    async def request() -> None:
        nonlocal running, most
        async with limit.acquire(ALICE.id):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(request() for _ in range(5)))
    assert (most, running) == (2, 0)


async def hold_turn(limit: ConcurrencyLimit, end: asyncio.Event) -> None:
    async with limit.acquire(ALICE.id):
        await end.wait()


async def test_request_beyond_the_waiting_limit_is_refused_for_its_user_alone() -> None:
    limit, end = ConcurrencyLimit(under_way=1, waiting=1), asyncio.Event()
    requests = [asyncio.create_task(hold_turn(limit, end)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):
        await hold_turn(limit, end)
    async with limit.acquire(BOB.id):
        end.set()
    await asyncio.gather(*requests)
    await hold_turn(limit, end)


async def test_cancelled_request_gives_its_turn_back() -> None:
    limit, end = ConcurrencyLimit(under_way=1, waiting=1), asyncio.Event()
    requests = [asyncio.create_task(hold_turn(limit, end)) for _ in range(2)]
    await asyncio.sleep(0)
    for each in requests:
        each.cancel()
    assert await asyncio.gather(*requests, return_exceptions=True) != [None, None]
    end.set()
    await asyncio.gather(hold_turn(limit, end), hold_turn(limit, end))


async def test_user_without_requests_is_forgotten() -> None:
    limit = ConcurrencyLimit(under_way=1, waiting=1)
    async with limit.acquire(ALICE.id):
        assert list(limit._turns) == [ALICE.id]
    assert limit._turns == {}
