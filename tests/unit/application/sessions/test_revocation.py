import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import pytest

from ordergate.adapters.memory import InMemorySessionRepository, InMemoryStorage, Tables
from ordergate.application.errors import InvalidToken, StorageUnavailable
from ordergate.application.ports.tokens import Caller
from ordergate.application.sessions.revocation import (
    BoundedRevocation,
    ImmediateRevocation,
    NoRevocation,
)
from ordergate.domain.session import SessionId
from ordergate.domain.user import UserId
from tests.support.identity.identity_harness import HOME, IdentityHarness


class CountedSessions(InMemorySessionRepository):
    """Counts the queries for ended sessions, and can be unavailable."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self.asked: list[datetime] = []
        self.reachable = True

    async def ended_since(self, at: datetime) -> Mapping[SessionId, datetime]:
        self.asked.append(at)
        await asyncio.sleep(0)
        if not self.reachable:
            raise StorageUnavailable
        return await super().ended_since(at)


@pytest.fixture
async def harness() -> IdentityHarness:
    storage = InMemoryStorage()
    storage.sessions = CountedSessions(storage.tables)
    harness = IdentityHarness(storage)
    await harness.add_alice()
    return harness


def bounded_revocation(
    harness: IdentityHarness, ticks: Callable[[], float] | None = None
) -> BoundedRevocation:
    return BoundedRevocation(
        harness.storage.sessions,
        harness.clock,
        bound=timedelta(seconds=10),
        lifetime=timedelta(minutes=15),
        ticks=ticks or (lambda: harness.clock.now().timestamp()),
    )


def read_times(harness: IdentityHarness) -> list[datetime]:
    assert isinstance(harness.storage.sessions, CountedSessions)
    return harness.storage.sessions.asked


async def ended(harness: IdentityHarness) -> Caller:
    caller = await harness.caller(await harness.sign_in())
    assert caller.session is not None
    await harness.end_session(caller.session, user=caller.id, origin=HOME)
    return caller


async def test_disabled_revocation_reads_no_storage(harness: IdentityHarness) -> None:
    await NoRevocation().check(await ended(harness))
    assert not read_times(harness)


async def test_immediate_revocation_refuses_the_next_request(harness: IdentityHarness) -> None:
    check = ImmediateRevocation(harness.storage.sessions, harness.clock).check
    caller = await harness.caller(await harness.sign_in())
    await check(caller)
    await harness.end_all_sessions(user=caller.id, origin=HOME)
    with pytest.raises(InvalidToken):
        await check(caller)
    for nobody in (Caller(caller.id, "shop"), Caller(UserId(2), "shop", session=caller.session)):
        with pytest.raises(InvalidToken):
            await check(nobody)


async def test_bounded_revocation_refuses_within_the_bound(harness: IdentityHarness) -> None:
    check = bounded_revocation(harness).check
    caller = await harness.caller(await harness.sign_in())
    await check(caller)
    await harness.end_all_sessions(user=caller.id, origin=HOME)
    harness.clock.advance(seconds=9.9)
    await check(caller)
    harness.clock.advance(seconds=0.1)
    with pytest.raises(InvalidToken):
        await check(caller)
    harness.clock.advance(minutes=14)
    with pytest.raises(InvalidToken):
        await check(caller)


async def test_earlier_endings_are_read_when_a_worker_starts(harness: IdentityHarness) -> None:
    caller = await ended(harness)
    harness.clock.advance(minutes=14)
    with pytest.raises(InvalidToken):
        await bounded_revocation(harness).check(caller)


async def test_parallel_requests_share_one_refresh(harness: IdentityHarness) -> None:
    check = bounded_revocation(harness).check
    caller = await harness.caller(await harness.sign_in())
    await asyncio.gather(*(check(caller) for _ in range(100)))
    harness.clock.advance(seconds=5)
    await asyncio.gather(*(check(caller) for _ in range(100)))
    assert len(read_times(harness)) == 1
    harness.clock.advance(seconds=5)
    await asyncio.gather(*(check(caller) for _ in range(100)))
    assert len(read_times(harness)) == 2


async def test_waiting_requests_are_released_together(harness: IdentityHarness) -> None:
    check = bounded_revocation(harness).check
    caller = await harness.caller(await harness.sign_in())
    waiting = asyncio.gather(*(check(caller) for _ in range(500)))
    turns = 0
    while not waiting.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns < 20


async def test_failed_refresh_fails_all_waiting_requests_once(
    harness: IdentityHarness,
) -> None:
    check = bounded_revocation(harness).check
    caller = await harness.caller(await harness.sign_in())
    assert isinstance(harness.storage.sessions, CountedSessions)
    harness.storage.sessions.reachable = False
    reported = await asyncio.gather(*(check(caller) for _ in range(9)), return_exceptions=True)
    assert list(map(type, reported)) == [StorageUnavailable] * 9
    assert len(read_times(harness)) == 1


async def test_cancelled_request_does_not_cancel_the_shared_refresh(
    harness: IdentityHarness,
) -> None:
    check = bounded_revocation(harness).check
    caller = await harness.caller(await harness.sign_in())
    first, second = (asyncio.create_task(check(caller)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    assert len(read_times(harness)) == 1


async def test_cancelled_refresh_is_started_again(harness: IdentityHarness) -> None:
    check = bounded_revocation(harness).check
    caller = await harness.caller(await harness.sign_in())
    before = asyncio.all_tasks()
    first = asyncio.create_task(check(caller))
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - before:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await check(caller)
    assert read_times(harness)


async def test_age_of_the_cache_is_that_of_the_last_refresh(harness: IdentityHarness) -> None:
    revocation = bounded_revocation(harness)
    caller = await harness.caller(await harness.sign_in())
    assert revocation.get_age() is None
    await revocation.check(caller)
    harness.clock.advance(seconds=9)
    await revocation.check(caller)
    assert revocation.get_age() == 9
    harness.clock.advance(seconds=2)
    await revocation.check(caller)
    assert revocation.get_age() == 0
    assert isinstance(harness.storage.sessions, CountedSessions)
    harness.storage.sessions.reachable = False
    harness.clock.advance(seconds=30)
    with pytest.raises(StorageUnavailable):
        await revocation.check(caller)
    assert revocation.get_age() == 30


async def test_refresh_overlaps_the_previous_one_by_a_minute(
    harness: IdentityHarness,
) -> None:
    check = bounded_revocation(harness).check
    caller = await harness.caller(await harness.sign_in())
    await check(caller)
    harness.clock.advance(seconds=100)
    await check(caller)
    first, second = read_times(harness)
    assert harness.clock.now() - first == timedelta(seconds=100 + 900 + 60)
    assert harness.clock.now() - second == timedelta(seconds=100 + 60)


async def test_requests_are_refused_while_the_storage_is_unavailable(
    harness: IdentityHarness,
) -> None:
    check = bounded_revocation(harness).check
    caller = await harness.caller(await harness.sign_in())
    await check(caller)
    assert isinstance(harness.storage.sessions, CountedSessions)
    harness.storage.sessions.reachable = False
    harness.clock.advance(seconds=9)
    await check(caller)
    harness.clock.advance(seconds=1)
    with pytest.raises(StorageUnavailable):
        await check(caller)
    harness.storage.sessions.reachable = True
    await check(caller)


@pytest.mark.parametrize("back", [1, 9, 3600])
async def test_cached_endings_expire_when_the_clock_is_set_back(
    harness: IdentityHarness, back: float
) -> None:
    ticks = 0.0
    check = bounded_revocation(harness, lambda: ticks).check
    caller = await harness.caller(await harness.sign_in())
    await check(caller)
    harness.clock.advance(seconds=9.5 - back)
    await harness.end_all_sessions(user=caller.id, origin=HOME)
    ticks = 9.9
    await check(caller)
    ticks = 10.0
    with pytest.raises(InvalidToken):
        await check(caller)


async def test_endings_are_removed_when_every_token_has_expired(harness: IdentityHarness) -> None:
    bound = bounded_revocation(harness)
    caller = await ended(harness)
    with pytest.raises(InvalidToken):
        await bound.check(caller)
    other = await harness.caller(await harness.sign_in())
    harness.clock.advance(seconds=900 + 60)
    await bound.check(other)
    assert not bound._ended


async def test_token_without_a_session_is_refused(harness: IdentityHarness) -> None:
    with pytest.raises(InvalidToken):
        await bounded_revocation(harness).check(Caller(UserId(1), "shop"))


# Another storage in the place of the open one


def within_storages(harness: IdentityHarness, identities: list[int]) -> BoundedRevocation:
    return BoundedRevocation(
        harness.storage.sessions,
        harness.clock,
        bound=timedelta(seconds=10),
        lifetime=timedelta(minutes=15),
        ticks=lambda: 0.0,
        identity=lambda: identities[-1],
    )


async def test_endings_are_read_again_when_the_storage_is_another(harness: IdentityHarness) -> None:
    identities = [1]
    check = within_storages(harness, identities).check
    caller = await harness.caller(await harness.sign_in())
    harness.clock.advance(minutes=5)
    await check(caller)
    identities.append(2)
    await check(caller)
    first, second = read_times(harness)
    assert first == second


@pytest.mark.parametrize("requested_before", [True, False])
async def test_session_is_refused_when_another_storage_does_not_have_it(
    harness: IdentityHarness, requested_before: bool
) -> None:
    identities = [1]
    check = within_storages(harness, identities).check
    kept = await harness.caller(await harness.sign_in())
    missing = await harness.caller(await harness.sign_in())
    assert missing.session is not None
    assert isinstance(harness.storage, InMemoryStorage)
    if requested_before:
        await check(missing)
    identities.append(2)
    session = harness.storage.tables.sessions.pop(missing.session)
    for _ in range(2):
        await check(kept)
        with pytest.raises(InvalidToken):
            await check(missing)
    harness.storage.tables.sessions[missing.session] = session
    await check(missing)


async def test_failure_to_read_endings_of_another_storage_is_not_forgotten(
    harness: IdentityHarness,
) -> None:
    identities = [1]
    check = within_storages(harness, identities).check
    caller = await harness.caller(await harness.sign_in())
    assert isinstance(harness.storage.sessions, CountedSessions)
    await check(caller)
    identities.append(2)
    harness.storage.sessions.reachable = False
    with pytest.raises(StorageUnavailable):
        await check(caller)
    harness.storage.sessions.reachable = True
    await check(caller)
    first, _, third = read_times(harness)
    assert first == third


async def test_sessions_are_looked_up_until_earlier_tokens_have_expired(
    harness: IdentityHarness,
) -> None:
    identities = [1]
    revocation = within_storages(harness, identities)
    caller = await harness.caller(await harness.sign_in())
    await revocation.check(caller)
    identities.append(2)
    await revocation.check(caller)
    assert revocation._found == {caller.session}
    harness.clock.advance(minutes=16)
    revocation._refreshed_at = float("-inf")
    await revocation.check(caller)
    assert revocation._found == set()
    assert revocation._replaced_at is None
