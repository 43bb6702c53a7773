"""Race contract: parallel calls from one process and from two."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from ordergate.application.errors import OrderIdTaken, StorageNotEmpty, UsernameTaken
from ordergate.application.ports.orders import OrderQuery, Position
from ordergate.application.ports.sessions import RotationOutcome
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.users import PasswordChange
from ordergate.domain.order import Order, OrderId
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import PasswordHash, User, UserId, Username
from tests.support.builders import (
    ALICE,
    AT,
    BOB,
    FIRST_INSTANT,
    TEAPOT,
    a_key,
    a_session,
    an_order,
    bobs_order,
)
from tests.support.storage_calls import rotation_outcome, start_numbered_session

MANY = 20
LATE = AT + timedelta(hours=1)


class RacesContract:
    """One of many parallel calls succeeds."""

    def another(self, storage: Storage) -> Storage:
        """Return what another process would use to reach the same data, not yet open."""
        raise NotImplementedError

    @asynccontextmanager
    async def two_processes(self, storage: Storage) -> AsyncIterator[Sequence[Storage]]:
        """Reach the data by two ways, in turn: `MANY` times."""
        other = self.another(storage)
        await other.open()
        try:
            yield [storage, other] * (MANY // 2)
        finally:
            await other.close()

    # Accounts

    async def test_parallel_password_changes_succeed_once(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        for number in (1, 2):
            assert await start_numbered_session(storage, number, ALICE)
        async with self.two_processes(storage) as storages:
            ended = await asyncio.gather(
                *(
                    each.users.change_password(
                        PasswordChange(
                            ALICE.id,
                            old=ALICE.password_hash,
                            new=PasswordHash(f"new {i}"),
                            keep=a_session(2).id,
                            at=AT,
                        )
                    )
                    for i, each in enumerate(storages)
                )
            )
        (winner,) = (i for i, sessions in enumerate(ended) if sessions is not None)
        assert ended[winner] == [a_session(1).id]
        stored = await storage.users.get(ALICE.id)
        assert stored == replace(ALICE, password_hash=PasswordHash(f"new {winner}"))
        assert await storage.users.find(ALICE.username) == stored

    async def test_parallel_closings_of_an_account_succeed_once(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        assert await start_numbered_session(storage, 1, ALICE)
        async with self.two_processes(storage) as storages:
            ended = await asyncio.gather(
                *(
                    each.users.close(ALICE.id, password_hash=ALICE.password_hash, at=AT)
                    for each in storages
                )
            )
        assert [sessions for sessions in ended if sessions is not None] == [[a_session(1).id]]

    async def test_parallel_registrations_of_a_name_succeed_once_in_two_processes(
        self, storage: Storage
    ) -> None:
        async with self.two_processes(storage) as storages:
            results = await asyncio.gather(
                *(each.users.add(Username("carol"), PasswordHash("h")) for each in storages),
                return_exceptions=True,
            )
        assert [type(result) for result in results].count(UsernameTaken) == MANY - 1
        assert [r for r in results if isinstance(r, User)] == [
            await storage.users.find(Username("carol"))
        ]

    async def test_subject_has_one_account_when_two_processes_see_it_in_parallel(
        self, storage: Storage
    ) -> None:
        async with self.two_processes(storage) as storages:
            ids = await asyncio.gather(
                *(
                    each.users.get_or_create_by_subject("https://id.example", "new")
                    for each in storages
                )
            )
        assert len(set(ids)) == 1

    async def test_parallel_registrations_have_different_ids(self, storage: Storage) -> None:
        async with self.two_processes(storage) as storages:
            users = await asyncio.gather(
                *(
                    each.users.add(Username(f"u{i}"), PasswordHash("h"))
                    for i, each in enumerate(storages)
                )
            )
            subjects = await asyncio.gather(
                *(
                    each.users.get_or_create_by_subject("https://id.example", f"{i}")
                    for i, each in enumerate(storages)
                )
            )
        assert len({*(user.id for user in users), *subjects}) == 2 * MANY

    # Sessions

    async def test_sign_in_is_refused_while_the_password_changes(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])

        async def change() -> bool:
            new = PasswordHash("new")
            ended = await storage.users.change_password(
                PasswordChange(ALICE.id, old=ALICE.password_hash, new=new, keep=None, at=AT)
            )
            return ended is not None

        async with self.two_processes(storage) as storages:
            starts = [
                start_numbered_session(each, i, ALICE) for i, each in enumerate(storages, start=1)
            ]
            middle = MANY // 2
            results = await asyncio.gather(*starts[:middle], change(), *starts[middle:])
        assert results[middle]
        assert list(await storage.sessions.list_active(ALICE.id, at=AT, limit=MANY)) == []

    async def test_parallel_endings_of_a_session_succeed_once(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        for number in (1, 2):
            assert await start_numbered_session(storage, number, ALICE)
        async with self.two_processes(storage) as storages:
            ended = await asyncio.gather(
                *(
                    each.sessions.end(
                        a_session(1).id, user=ALICE.id, reason=SessionEndReason.REVOKED, at=AT
                    )
                    for each in storages
                )
            )
            assert ended.count(True) == 1
            lists = await asyncio.gather(
                *(
                    each.sessions.end_all(ALICE.id, reason=SessionEndReason.REVOKED, at=AT)
                    for each in storages
                )
            )
        assert [each for some in lists for each in some] == [a_session(2).id]

    async def test_parallel_rotations_succeed_once_in_two_processes(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        assert await start_numbered_session(storage, 1, ALICE)
        async with self.two_processes(storage) as storages:
            outcomes = await asyncio.gather(
                *(rotation_outcome(each, 1, 100 + i, at=AT) for i, each in enumerate(storages))
            )
        assert sorted(outcomes) == [RotationOutcome.REPLAYED] * (MANY - 1) + [
            RotationOutcome.ROTATED
        ]

    async def test_parallel_reuse_ends_the_session_once(self, storage: Storage) -> None:
        await storage.loader.load([ALICE], [])
        assert await start_numbered_session(storage, 1, ALICE)
        assert await rotation_outcome(storage, 1, 2, at=AT) is RotationOutcome.ROTATED
        async with self.two_processes(storage) as storages:
            outcomes = await asyncio.gather(
                *(rotation_outcome(each, 1, 3, at=LATE) for each in storages)
            )
        assert sorted(outcomes) == [RotationOutcome.INVALID] * (MANY - 1) + [RotationOutcome.REUSED]
        assert await storage.sessions.ended_since(FIRST_INSTANT) == {a_session(1).id: LATE}

    # Orders

    async def test_parallel_orders_with_one_key_are_placed_once_in_two_processes(
        self, storage: Storage
    ) -> None:
        await storage.loader.load([BOB], [])
        async with self.two_processes(storage) as storages:
            results = await asyncio.gather(
                *(
                    each.orders.add(bobs_order(i), owner=BOB.id, key=a_key("a wish"))
                    for i, each in enumerate(storages, start=1)
                )
            )
        stored = await storage.orders.list_owned(OrderQuery(limit=MANY), owner=BOB.id)
        assert results == [stored[0]] * MANY
        assert len(stored) == 1

    async def test_parallel_orders_of_one_id_are_placed_once(self, storage: Storage) -> None:
        await storage.loader.load([BOB], [])
        orders = [
            replace(bobs_order(1), lines=(replace(TEAPOT, quantity=i + 1),)) for i in range(MANY)
        ]
        async with self.two_processes(storage) as storages:
            results = await asyncio.gather(
                *(
                    each.orders.add(order, owner=BOB.id)
                    for each, order in zip(storages, orders, strict=True)
                ),
                return_exceptions=True,
            )
        stored = await storage.orders.get_owned(OrderId(1), owner=BOB.id)
        assert [result for result in results if isinstance(result, Order)] == [stored]
        assert [type(result) for result in results].count(OrderIdTaken) == MANY - 1

    async def test_parallel_updates_of_an_order_lose_no_change(self, storage: Storage) -> None:
        await storage.loader.load([BOB], [bobs_order(1)])

        def count_up(order: Order) -> Order:
            return replace(order, version=order.version + 1)

        async with self.two_processes(storage) as storages:
            results = await asyncio.gather(
                *(
                    each.orders.update(OrderId(1), owner=BOB.id, change=count_up)
                    for each in storages
                )
            )
        assert sorted(order.version for order in results if order) == list(range(2, MANY + 2))
        stored = await storage.orders.get_owned(OrderId(1), owner=BOB.id)
        assert stored == replace(bobs_order(1), version=MANY + 1)

    async def test_parallel_purges_count_each_key_once(self, storage: Storage) -> None:
        await storage.loader.load([BOB], [])
        for i in range(1, MANY + 1):
            await storage.orders.add(bobs_order(i), owner=BOB.id, key=a_key(str(i)))
        by = AT + timedelta(days=1)
        forgotten = [
            await asyncio.gather(
                *(storage.orders.purge_expired_keys(expired_by=by, limit=7) for _ in range(MANY))
            )
            for _ in range(2)
        ]
        assert sum(map(sum, forgotten)) == MANY
        assert max(forgotten[0]) <= 7

    async def test_pages_stay_the_same_while_orders_are_placed(self, storage: Storage) -> None:
        """Every order is on one page exactly."""
        there = [bobs_order(i, AT + timedelta(seconds=i % 4)) for i in range(10, 60)]
        await storage.loader.load([BOB], there)
        seen: list[Order] = []
        before = None

        async def read() -> None:
            nonlocal before
            for _ in range(100):
                if not (
                    page := await storage.orders.list_owned(
                        OrderQuery(before=before, limit=3), owner=BOB.id
                    )
                ):
                    break
                seen.extend(page)
                before = Position(page[-1].placed_at, page[-1].id)
                await asyncio.sleep(0)

        async def place() -> None:
            for i in range(30):
                at = AT + timedelta(seconds=i % 6 - 1)
                new = bobs_order(100 + i if i % 2 else 1 + i // 4, at)
                try:
                    await storage.orders.add(new, owner=BOB.id)
                except OrderIdTaken:
                    assert not i % 2

        await asyncio.gather(read(), place())
        places = [(order.placed_at, order.id) for order in seen]
        assert places == sorted(set(places), reverse=True)
        assert set(there) <= set(seen)

    # The storage

    async def test_parallel_loads_succeed_once(self, storage: Storage) -> None:
        people = [
            [User(UserId(i), Username(f"u{i}"), PasswordHash("h"))] for i in range(1, 1 + MANY)
        ]
        async with self.two_processes(storage) as storages:
            results = await asyncio.gather(
                *(
                    each.loader.load(some, [an_order(1, owner=some[0].id)])
                    for each, some in zip(storages, people, strict=True)
                ),
                return_exceptions=True,
            )
        assert [type(result) for result in results].count(StorageNotEmpty) == MANY - 1
        (winner,) = (i for i, result in enumerate(results) if result is None)
        owners = await storage.staff_orders.owners_of(OrderId(1))
        assert list(owners) == [people[winner][0].id]

    async def test_parallel_migrations_all_succeed(self, storage: Storage) -> None:
        secret = await storage.get_secret()
        others = [self.another(storage) for _ in range(4)]
        await asyncio.gather(*(other.migrate() for other in others))
        assert {await other.get_secret() for other in others} == {secret}
        for other in others:
            await other.close()
