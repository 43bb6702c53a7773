"""Race contract: parallel calls from one process and from two."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from ordergate.application.errors import UsernameTaken
from ordergate.application.ports.sessions import RotationOutcome
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.users import PasswordChange
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import PasswordHash, User, Username
from tests.contracts.orders.order_hooks import MANY
from tests.contracts.storage.storage_hooks import StorageHooks
from tests.support.builders import (
    ALICE,
    AT,
    FIRST_INSTANT,
    a_session,
)
from tests.support.storage.storage_calls import rotation_outcome, start_numbered_session

LATE = AT + timedelta(hours=1)


class RacesContract(StorageHooks):
    """One of many parallel calls succeeds."""

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
        await self.fill(storage, [ALICE], [])
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
        await self.fill(storage, [ALICE], [])
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
        await self.fill(storage, [ALICE], [])

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
        await self.fill(storage, [ALICE], [])
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
        await self.fill(storage, [ALICE], [])
        assert await start_numbered_session(storage, 1, ALICE)
        async with self.two_processes(storage) as storages:
            outcomes = await asyncio.gather(
                *(rotation_outcome(each, 1, 100 + i, at=AT) for i, each in enumerate(storages))
            )
        assert sorted(outcomes) == [RotationOutcome.REPLAYED] * (MANY - 1) + [
            RotationOutcome.ROTATED
        ]

    async def test_parallel_reuse_ends_the_session_once(self, storage: Storage) -> None:
        await self.fill(storage, [ALICE], [])
        assert await start_numbered_session(storage, 1, ALICE)
        assert await rotation_outcome(storage, 1, 2, at=AT) is RotationOutcome.ROTATED
        async with self.two_processes(storage) as storages:
            outcomes = await asyncio.gather(
                *(rotation_outcome(each, 1, 3, at=LATE) for each in storages)
            )
        assert sorted(outcomes) == [RotationOutcome.INVALID] * (MANY - 1) + [RotationOutcome.REUSED]
        assert await storage.sessions.ended_since(FIRST_INSTANT) == {a_session(1).id: LATE}

    # The storage

    async def test_parallel_migrations_all_succeed(self, storage: Storage) -> None:
        secret = await storage.get_secret()
        others = [self.another(storage) for _ in range(4)]
        await asyncio.gather(*(other.migrate() for other in others))
        assert {await other.get_secret() for other in others} == {secret}
        for other in others:
            await other.close()
