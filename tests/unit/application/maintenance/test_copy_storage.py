from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.errors import (
    CopyDiffers,
    CopyUnfinished,
    MissingCapability,
    StorageNotEmpty,
    StorageUnavailable,
)
from ordergate.application.maintenance.copy_storage import CopyStorage, Stage, _Checksum
from ordergate.application.ports.archive import (
    RECORD_TYPES,
    AccountKind,
    AccountRecord,
    CopyCheckpoint,
    KeyRecord,
    R,
    Record,
    RefreshTokenRecord,
    SessionRecord,
    SubjectRecord,
)
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.application.ports.storage import Storage
from ordergate.domain.order import OrderStatus
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.scope import Scope
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, UserId, Username
from tests.support.builders import ALICE, AT, BOB, an_order
from tests.support.properties import at_most
from tests.support.storage.storage_calls import MARK, have_same_items, read_all
from tests.support.storage.storage_strategies import whole_storages
from tests.support.storage.storages import BareStorage


async def a_source(orders: int = 7) -> InMemoryStorage:
    storage = InMemoryStorage()
    await storage.loader.load([ALICE, BOB], [an_order(i, owner=1) for i in range(1, orders + 1)])
    return storage


async def read_records(storage: InMemoryStorage) -> dict[str, list[Record]]:
    return {name: await read_all(storage, name) for name in RECORD_TYPES}


class Failing(InMemoryStorage):
    """Fails at a numbered call to read, write or finish, from 0."""

    def __init__(self, call: int, *, after: bool = False) -> None:
        super().__init__()
        archive = self.archive
        read, write, finish = archive.read, archive.write, archive.finish
        calls = iter(range(10_000))

        async def run_or_fail(work: Any) -> Any:
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
            result: tuple[Sequence[R], str] = await run_or_fail(
                read(kind, after=after, limit=limit)
            )
            return result

        async def failing_write(records: Sequence[Record], *, checkpoint: CopyCheckpoint) -> None:
            await run_or_fail(write(records, checkpoint=checkpoint))

        async def failing_finish() -> None:
            await run_or_fail(finish())

        vars(archive).update(read=failing_read, write=failing_write, finish=failing_finish)


@at_most(30)
@given(whole=whole_storages(), batch=st.integers(1, 3))
async def test_copy_contains_every_record(whole: dict[str, list[Any]], batch: int) -> None:
    source, target = InMemoryStorage(), InMemoryStorage()
    for name, records in whole.items():
        await source.archive.write(records, checkpoint=replace(MARK, kind=name))
    await source.archive.finish()
    counts = await CopyStorage(source, target, batch)()
    assert counts == {name: len(records) for name, records in whole.items()}
    copied = await read_records(target)
    assert all(have_same_items(copied[name], records) for name, records in whole.items())
    await target.open()


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
async def test_copy_continues_and_ends_equal_when_any_call_fails(*, after: bool) -> None:
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
            except StorageNotEmpty:  # the copy had finished, and its outcome was lost
                assert after
        else:
            break
        assert await read_records(target) == await read_records(source)
        await target.open()
    assert failures > 20


async def test_copied_records_are_not_copied_again() -> None:
    source, target = await a_source(), Failing(9)
    with pytest.raises(StorageUnavailable):
        await CopyStorage(source, target, batch=2)()
    there = len((await read_records(target))["orders"])
    assert 0 < there < 7
    reported: list[tuple[Stage, int, int]] = []
    await CopyStorage(source, target, batch=2)(watch=lambda *what: reported.append(what))
    copying = [done for stage, done, total in reported if (stage, total) == (Stage.COPYING, 9)]
    assert (copying[0], copying[-1]) == (2 + there, 9)
    assert reported[-1] == (Stage.VERIFYING, 18, 18)


async def test_unfinished_copy_is_not_served() -> None:
    target = Failing(9)
    with pytest.raises(StorageUnavailable):
        await CopyStorage(await a_source(), target, batch=2)()
    with pytest.raises(CopyUnfinished):
        await target.open()


async def test_unfinished_copy_of_another_storage_is_refused() -> None:
    source, target = await a_source(), Failing(9)
    with pytest.raises(StorageUnavailable):
        await CopyStorage(source, target, batch=2)()
    before = await read_records(target)
    with pytest.raises(CopyUnfinished, match="of another database"):
        await CopyStorage(await a_source(), target)()
    assert await read_records(target) == before


@pytest.mark.parametrize("orders", [0, 7])
async def test_nonempty_target_is_refused(orders: int) -> None:
    target = InMemoryStorage()
    await target.users.get_or_create_by_subject("https://id.example", "carol")
    before = await read_records(target)
    source = await a_source(orders) if orders else InMemoryStorage()
    with pytest.raises(StorageNotEmpty):
        await CopyStorage(source, target)()
    assert await read_records(target) == before


async def test_change_of_a_copied_record_is_reported() -> None:
    source, target = await a_source(), InMemoryStorage()

    def change(stage: Stage, done: int, _total: int) -> None:
        if (stage, done) == (Stage.COPYING, 9):
            order = source.tables.orders[UserId(1), an_order(3).id]
            source.tables.orders[UserId(1), order.id] = order.transition_to(OrderStatus.SHIPPED)

    with pytest.raises(CopyDiffers, match="differs from its source in orders") as refusal:
        await CopyStorage(source, target, batch=2)(watch=change)
    assert refusal.value.kinds == ["orders"]
    with pytest.raises(CopyUnfinished):
        await target.open()


async def test_lost_record_in_the_target_is_reported() -> None:
    source, target = await a_source(), InMemoryStorage()

    def lose(stage: Stage, done: int, _total: int) -> None:
        if (stage, done) == (Stage.COPYING, 9):
            target.tables.orders.popitem()
            target.tables.users.pop(BOB.id)

    with pytest.raises(CopyDiffers, match="in accounts, orders and cannot be used"):
        await CopyStorage(source, target, batch=2)(watch=lose)


async def test_order_of_a_later_account_is_reported_as_a_difference() -> None:
    source, target = await a_source(), InMemoryStorage()

    async def late() -> None:
        carol = await source.users.add(Username("carol"), PasswordHash("hash"))
        await source.orders.add(an_order(1, owner=carol.id), owner=carol.id)

    def change(stage: Stage, done: int, _total: int) -> None:
        if (stage, done) == (Stage.COPYING, 4):
            with pytest.raises(StopIteration):
                late().send(None)

    with pytest.raises(CopyDiffers, match=r"in orders .* stop all programs that write"):
        await CopyStorage(source, target, batch=2)(watch=change)


# Checksums


TOKEN = RefreshTokenRecord(TokenDigest(b"d" * 32), SessionId("s"), AT, AT, b"sealed")
SESSION = Session(SessionId("s"), ALICE.id, "shop", "192.0.2.1", frozenset(Scope), AT, AT, AT)
ONE_OF_EACH: dict[str, Record] = {
    "accounts": AccountRecord(ALICE.id, AccountKind.OPEN, ALICE.username, ALICE.password_hash),
    "subjects": SubjectRecord("https://id.example", "carol", ALICE.id),
    "sessions": SessionRecord(SESSION, AT, SessionEndReason.REVOKED),
    "refresh tokens": TOKEN,
    "orders": an_order(),
    "idempotency keys": KeyRecord(ALICE.id, IdempotencyKey("a wish", AT), an_order().id),
}


MORE = {bytes: b"x", str: "x", int: 1, datetime: timedelta(microseconds=1)}


def variants(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield values that differ in one field, with that field's name."""
    match value:
        case _ if is_dataclass(value):
            for each in fields(value):
                for where, other in variants(getattr(value, each.name)):
                    changed = copy(value)
                    object.__setattr__(changed, each.name, other)
                    yield f"{each.name} {where}".strip(), changed
        case tuple():
            for where, other in variants(value[0]):
                yield where, (other, *value[1:])
            yield "fewer", value[:-1]
            yield "turned", value[::-1]
        case frozenset():
            yield "fewer", value - {min(value)}
        case Enum():
            yield "", next(each for each in type(value) if each is not value)
        case _:
            yield "", value + MORE[type(value)]


def test_samples_cover_every_record_type() -> None:
    assert {name: type(record) for name, record in ONE_OF_EACH.items()} == RECORD_TYPES


@pytest.mark.parametrize(
    ("record", "changed"),
    [
        pytest.param(record, changed, id=f"{name}: {where}")
        for name, record in ONE_OF_EACH.items()
        for where, changed in variants(record)
    ],
)
def test_change_of_any_field_changes_the_checksum(record: Record, changed: Record) -> None:
    assert _Checksum().with_records([changed]) != _Checksum().with_records([record])


def test_equal_records_have_one_checksum_in_any_order() -> None:
    some = [an_order(1), an_order(2)]
    same_again = [replace(an_order(2)), replace(an_order(1))]
    assert _Checksum().with_records(some) == _Checksum().with_records(same_again)


def test_field_of_an_unknown_type_raises() -> None:
    order = an_order()
    object.__setattr__(order, "version", 1.5)
    with pytest.raises(TypeError, match="cannot compare values of <class 'float'>"):
        _Checksum().with_records([order])


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (BareStorage, InMemoryStorage, "nothing can be copied from this storage"),
        (InMemoryStorage, BareStorage, "nothing can be copied into this storage"),
    ],
)
async def test_copying_needs_two_archives(
    source: type[Storage], target: type[Storage], message: str
) -> None:
    with pytest.raises(MissingCapability, match=f"{message}, because it has no archive; use"):
        await CopyStorage(source(), target())()
