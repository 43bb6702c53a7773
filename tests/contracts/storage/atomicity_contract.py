"""Atomicity contract: a failed write leaves nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count

import pytest

from ordergate.application.errors import StorageUnavailable
from ordergate.application.ports.archive import (
    RECORD_TYPES,
)
from ordergate.application.ports.orders import OrderQuery
from ordergate.application.ports.sessions import RotationOutcome
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.users import PasswordChange
from ordergate.domain.order import OrderId, OrderStatus
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import PasswordHash, UserId, Username
from tests.contracts.storage.storage_hooks import StorageHooks
from tests.support.builders import (
    ADDRESS,
    ALICE,
    AT,
    BOB,
    FIRST_INSTANT,
    a_key,
    a_session,
    an_order,
    bobs_order,
    digest,
)
from tests.support.storage.fault_injection import Failure
from tests.support.storage.storage_calls import (
    read_all,
    rotation_outcome,
    start_numbered_session,
    try_start_session,
)

SOON, LATE = AT + timedelta(seconds=5), AT + timedelta(hours=1)
NEW = PasswordHash("a new hash")


async def snapshot(storage: Storage) -> list[object]:
    """Read all that can be read."""
    users, sessions, orders = storage.users, storage.sessions, storage.orders
    ids, names = [UserId(i) for i in range(1, 5)], ["alice", "bob", "carol"]
    numbers = range(1, 10)  # attempts with other numbers appear among the records
    return [
        [await users.find(Username(name)) for name in names],
        [await users.get(user) for user in ids],
        [await sessions.get_by_refresh_token(digest(i)) for i in numbers],
        [await sessions.is_used(digest(i)) for i in numbers],
        [await sessions.sealed_successor(digest(i)) for i in numbers],
        [await sessions.list_active(user, at=AT, limit=99) for user in ids],
        [await sessions.is_active(a_session(i).id, user=ALICE.id, at=AT) for i in numbers],
        [await sessions.has_signed_in_from(user, ADDRESS) for user in ids],
        await sessions.ended_since(FIRST_INSTANT),
        [await orders.get_owned(OrderId(i), owner=BOB.id) for i in numbers],
        [
            await orders.list_owned(OrderQuery(status=status, limit=99), owner=user)
            for user in ids
            for status in (None, *OrderStatus)
        ],
        [await storage.staff_orders.list_owners(OrderId(i)) for i in numbers],
        await all_records(storage),
    ]


async def all_records(storage: Storage) -> list[object]:
    """Read what a copy reads, and how far a copy has come.

    Returns nothing without an archive.
    """
    if storage.archive is None:
        return []
    records: list[object] = [await read_all(storage, name) for name in RECORD_TYPES]
    return [*records, await storage.archive.checkpoint()]


async def settled(storage: Storage) -> list[object]:
    """Read all that can be read, until nothing changes any more."""
    state = await snapshot(storage)
    while (again := await snapshot(storage)) != state:
        state = again
    return state


async def add_a_user(storage: Storage, attempt: int) -> bool:
    return (await storage.users.add(Username("carol"), NEW)).username == Username("carol")


async def replace_a_hash(storage: Storage, attempt: int) -> bool:
    return await storage.users.replace_password_hash(ALICE.id, old=ALICE.password_hash, new=NEW)


async def change_a_password(storage: Storage, attempt: int) -> bool:
    ended = await storage.users.change_password(
        PasswordChange(ALICE.id, old=ALICE.password_hash, new=NEW, keep=a_session(2).id, at=AT)
    )
    return ended is not None and sorted(ended) == [a_session(1).id, a_session(3).id]


async def close_an_account(storage: Storage, attempt: int) -> bool:
    ended = await storage.users.close(ALICE.id, password_hash=ALICE.password_hash, at=AT)
    return ended is not None and len(ended) == 3


async def start_a_session(storage: Storage, attempt: int) -> bool:
    return await start_numbered_session(storage, 100 + attempt, BOB)


async def start_a_session_beyond_the_limit(storage: Storage, attempt: int) -> bool:
    number, password_hash = 100 + attempt, BOB.password_hash
    session = a_session(number, BOB.id)
    ended = await try_start_session(storage, session, number, password_hash=password_hash, limit=1)
    return ended == [a_session(4).id]


async def rotate_a_token(storage: Storage, attempt: int) -> bool:
    return await rotation_outcome(storage, 2, 100 + attempt, at=SOON) is RotationOutcome.ROTATED


async def reuse_a_token(storage: Storage, attempt: int) -> bool:
    return await rotation_outcome(storage, 1, 100 + attempt, at=LATE) is RotationOutcome.REUSED


async def end_a_session(storage: Storage, attempt: int) -> bool:
    return await storage.sessions.end(
        a_session(1).id, user=ALICE.id, reason=SessionEndReason.REVOKED, at=AT
    )


async def end_all_sessions(storage: Storage, attempt: int) -> bool:
    return (
        len(await storage.sessions.end_all(ALICE.id, reason=SessionEndReason.SIGNED_OUT, at=AT))
        == 3
    )


async def forget_sessions(storage: Storage, attempt: int) -> bool:
    return any(await storage.sessions.purge_ended(over_by=a_session(1).expires_at, limit=9))


async def place_an_order(storage: Storage, attempt: int) -> bool:
    return await storage.orders.add(bobs_order(100 + attempt), owner=BOB.id) is not None


async def place_an_order_with_a_key(storage: Storage, attempt: int) -> bool:
    """A key left by a failed attempt would return its order."""
    order = bobs_order(100 + attempt)
    return await storage.orders.add(order, owner=BOB.id, key=a_key("new")) == order


async def place_an_order_with_an_expired_key(storage: Storage, attempt: int) -> bool:
    at = AT + timedelta(days=1)
    order = bobs_order(100 + attempt, at)
    return await storage.orders.add(order, owner=BOB.id, key=a_key("old", at)) == order


async def change_an_order(storage: Storage, attempt: int) -> bool:
    changed = await storage.orders.update(
        OrderId(2), owner=BOB.id, change=lambda order: order.transition_to(OrderStatus.CANCELLED)
    )
    return changed == replace(bobs_order(2), status=OrderStatus.CANCELLED, version=2)


WRITES: list[Callable[[Storage, int], Awaitable[bool]]] = [
    add_a_user,
    replace_a_hash,
    change_a_password,
    close_an_account,
    start_a_session,
    start_a_session_beyond_the_limit,
    rotate_a_token,
    reuse_a_token,
    end_a_session,
    end_all_sessions,
    forget_sessions,
    place_an_order,
    place_an_order_with_a_key,
    place_an_order_with_an_expired_key,
    change_an_order,
]

WRITES_OF_SEVERAL_RECORDS = [
    change_a_password,
    close_an_account,
    start_a_session,
    start_a_session_beyond_the_limit,
    rotate_a_token,
    reuse_a_token,
    place_an_order_with_a_key,
    place_an_order_with_an_expired_key,
]


class AtomicityContract(StorageHooks):
    """Writes happen whole or not at all, and a failure is `StorageUnavailable`."""

    async def seed(self, storage: Storage) -> None:
        """Store some records of each kind."""
        delivered = replace(an_order(1), status=OrderStatus.DELIVERED)
        await self.fill(storage, [ALICE, BOB], [delivered, bobs_order(2)])
        for number in (1, 2, 3):
            assert await start_numbered_session(storage, number, ALICE)
        assert await start_numbered_session(storage, 4, BOB)
        assert await rotation_outcome(storage, 1, 5, at=AT) is RotationOutcome.ROTATED
        keyed = bobs_order(3)
        assert await storage.orders.add(keyed, owner=BOB.id, key=a_key("old")) == keyed

    def fail_at(self, storage: Storage, failure: Failure) -> AbstractContextManager[None]:
        """Call `failure.step` before each step, with an error of the storage's.

        A step is whatever may fail by itself: a statement, a put, a commit. A storage that takes no
        steps is left as it is.
        """
        return nullcontext()

    def conflict_at(self, storage: Storage, failure: Failure) -> AbstractContextManager[None]:
        """Call `failure.step` before each step, with an error that is retried.

        Such as a serialization failure or a deadlock. A storage that repeats nothing is left as it
        is.
        """
        return nullcontext()

    async def fails_at_step(
        self, storage: Storage, step: int, work: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Return whether the work failed at that step.

        Work without such a step is done.
        """
        failure = Failure(step)
        try:
            with self.fail_at(storage, failure):
                done = await work()
        except StorageUnavailable:
            assert failure.happened
            return True
        assert not failure.happened, "a step failed without an error"
        takes_steps = type(self).fail_at is not AtomicityContract.fail_at
        assert step > 1 or not takes_steps, "fail_at let the first step be"
        assert done, "an attempt that failed has left something"
        return False

    async def assert_atomic(
        self,
        storage: Storage,
        write: Callable[[Storage, int], Awaitable[bool]],
        seen: Callable[[Storage], Awaitable[list[object]]] = snapshot,
    ) -> None:
        """Fail each step of a write, and find nothing changed until success."""
        before = await seen(storage)
        for step in count(1):
            if not await self.fails_at_step(storage, step, partial(write, storage, step)):
                break
            assert await seen(storage) == before
        assert await seen(storage) != before

    @pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
    async def test_write_changes_nothing_when_any_step_fails(
        self, storage: Storage, write: Callable[[Storage, int], Awaitable[bool]]
    ) -> None:
        await self.seed(storage)
        await self.assert_atomic(storage, write)

    @pytest.mark.parametrize("write", WRITES_OF_SEVERAL_RECORDS, ids=lambda write: write.__name__)
    async def test_write_is_atomic_when_it_is_cancelled(
        self, storage: Storage, write: Callable[[Storage, int], Awaitable[bool]]
    ) -> None:
        """A client that disconnects cancels its request at any await."""
        await self.seed(storage)
        before = await snapshot(storage)
        assert await write(storage, 1)
        after = await snapshot(storage)
        for turns in (1, 2, 3, 5, 8):
            await self.empty(storage)
            await self.seed(storage)
            task = asyncio.ensure_future(write(storage, 1))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert await settled(storage) in (before, after)

    @pytest.mark.parametrize(
        "write", [*WRITES_OF_SEVERAL_RECORDS, change_an_order], ids=lambda write: write.__name__
    )
    async def test_write_happens_once_or_never_when_any_step_meets_a_conflict(
        self, storage: Storage, write: Callable[[Storage, int], Awaitable[bool]]
    ) -> None:
        """The storage may repeat the write by itself, or fail."""
        await self.seed(storage)
        seen = all_records if storage.archive else snapshot
        before = await seen(storage)
        assert await write(storage, 1)
        after = await seen(storage)
        for step in count(1):
            await self.empty(storage)
            await self.seed(storage)
            failure = Failure(step)
            with self.conflict_at(storage, failure):
                done = False
                with suppress(StorageUnavailable):
                    done = await write(storage, 1)
            assert await seen(storage) == (after if done else before)
            if not failure.happened:
                break
