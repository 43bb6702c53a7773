from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import InMemoryStorage
from application.copy_storage import CopyStorage, Stage
from application.errors import (
    CopyDiffers,
    CopyUnfinished,
    StorageNotEmpty,
    StorageUnavailable,
)
from application.ports.archive import KINDS, Bookmark, R, Record
from domain.order import OrderStatus
from domain.user import PasswordHash, UserId, Username
from tests.contracts.archive import MARK, all_of, same, whole_storages
from tests.samples import ALICE, BOB, an_order


async def a_source(orders: int = 7) -> InMemoryStorage:
    storage = InMemoryStorage()
    await storage.loader.load([ALICE, BOB], [an_order(i, owner=1) for i in range(1, orders + 1)])
    return storage


async def records_of(storage: InMemoryStorage) -> dict[str, list[Record]]:
    return {name: await all_of(storage, name) for name in KINDS}


class Failing(InMemoryStorage):
    """Fails at the call of that number to read, to write or to finish; 0 is the first."""

    def __init__(self, call: int, *, after: bool = False) -> None:
        super().__init__()
        archive = self.archive
        read, write, finish = archive.read, archive.write, archive.finish
        calls = iter(range(10_000))

        async def maybe(work: Any) -> Any:
            fails = next(calls) == call
            if fails and not after:
                work.close()
                raise StorageUnavailable
            done = await work
            if fails:
                raise StorageUnavailable
            return done

        async def failing_read(
            kind: type[R], *, after: str = "", limit: int
        ) -> tuple[Sequence[R], str]:
            result: tuple[Sequence[R], str] = await maybe(read(kind, after=after, limit=limit))
            return result

        async def failing_write(records: Sequence[Record], *, bookmark: Bookmark) -> None:
            await maybe(write(records, bookmark=bookmark))

        async def failing_finish() -> None:
            await maybe(finish())

        archive.read = failing_read  # type: ignore[method-assign] # a failure that is injected
        archive.write = failing_write  # type: ignore[method-assign]
        archive.finish = failing_finish  # type: ignore[method-assign]


@settings(max_examples=30)
@given(whole=whole_storages(), batch=st.integers(1, 3))
async def test_all_that_a_storage_keeps_is_copied(whole: dict[str, list[Any]], batch: int) -> None:
    source, target = InMemoryStorage(), InMemoryStorage()
    for name, records in whole.items():
        await source.archive.write(records, bookmark=replace(MARK, kind=name))
    await source.archive.finish()
    counts = await CopyStorage(source, target, batch)()
    assert counts == {name: len(records) for name, records in whole.items()}
    copied = await records_of(target)
    assert all(same(copied[name], records) for name, records in whole.items())
    await target.open()


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
async def test_a_copy_that_fails_at_any_call_goes_on_and_ends_equal(*, after: bool) -> None:
    source = await a_source()
    failures = 0
    for call in range(1_000):
        target = Failing(call, after=after)
        try:
            await CopyStorage(source, target, batch=2)()
        except StorageUnavailable:
            failures += 1
            try:
                await CopyStorage(source, target, batch=2)()
            except StorageNotEmpty:  # the end itself was done, and not heard of
                assert after
        else:
            break
        assert await records_of(target) == await records_of(source)
        await target.open()
    assert failures > 20


async def test_what_was_copied_is_not_copied_again() -> None:
    source, target = await a_source(), Failing(9)
    with pytest.raises(StorageUnavailable):
        await CopyStorage(source, target, batch=2)()
    there = len((await records_of(target))["orders"])
    assert 0 < there < 7
    told: list[tuple[Stage, int, int]] = []
    await CopyStorage(source, target, batch=2)(watch=lambda *what: told.append(what))
    copying = [done for stage, done, total in told if (stage, total) == (Stage.COPYING, 9)]
    assert (copying[0], copying[-1]) == (2 + there, 9)
    assert told[-1] == (Stage.VERIFYING, 18, 18)


async def test_half_a_copy_is_not_served() -> None:
    target = Failing(9)
    with pytest.raises(StorageUnavailable):
        await CopyStorage(await a_source(), target, batch=2)()
    with pytest.raises(CopyUnfinished):
        await target.open()


async def test_half_a_copy_of_another_storage_is_refused_and_left_alone() -> None:
    source, target = await a_source(), Failing(9)
    with pytest.raises(StorageUnavailable):
        await CopyStorage(source, target, batch=2)()
    before = await records_of(target)
    with pytest.raises(CopyUnfinished, match="of another database"):
        await CopyStorage(await a_source(), target)()
    assert await records_of(target) == before


@pytest.mark.parametrize("orders", [0, 7])
async def test_a_target_that_is_not_empty_is_refused(orders: int) -> None:
    target = InMemoryStorage()
    await target.users.of_subject("https://id.example", "carol")
    before = await records_of(target)
    source = await a_source(orders) if orders else InMemoryStorage()
    with pytest.raises(StorageNotEmpty):
        await CopyStorage(source, target)()
    assert await records_of(target) == before


async def test_a_change_of_what_was_copied_already_is_seen_and_told() -> None:
    source, target = await a_source(), InMemoryStorage()

    def change(stage: Stage, done: int, _total: int) -> None:
        if (stage, done) == (Stage.COPYING, 9):
            order = source.tables.orders[UserId(1), an_order(3).id]
            source.tables.orders[UserId(1), order.id] = order.advanced_to(OrderStatus.SHIPPED)

    with pytest.raises(CopyDiffers, match="differs from its source in orders") as refusal:
        await CopyStorage(source, target, batch=2)(watch=change)
    assert refusal.value.kinds == ["orders"]
    with pytest.raises(CopyUnfinished):
        await target.open()


async def test_what_is_lost_in_the_target_is_seen_and_told() -> None:
    source, target = await a_source(), InMemoryStorage()

    def lose(stage: Stage, done: int, _total: int) -> None:
        if (stage, done) == (Stage.COPYING, 9):
            target.tables.orders.popitem()
            target.tables.users.pop(BOB.id)

    with pytest.raises(CopyDiffers, match="in accounts, orders and is not to be used"):
        await CopyStorage(source, target, batch=2)(watch=lose)


async def test_an_order_of_an_account_that_came_too_late_is_told_as_a_difference() -> None:
    source, target = await a_source(), InMemoryStorage()

    async def late() -> None:
        carol = await source.users.add(Username("carol"), PasswordHash("hash"))
        await source.orders.add(an_order(1, owner=carol.id), owner=carol.id)

    def change(stage: Stage, done: int, _total: int) -> None:
        if (stage, done) == (Stage.COPYING, 4):
            with pytest.raises(StopIteration):
                late().send(None)

    with pytest.raises(CopyDiffers, match=r"in orders .* stop all that writes"):
        await CopyStorage(source, target, batch=2)(watch=change)
