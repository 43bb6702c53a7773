"""Archive contract: copy a whole storage; see `StorageContract`."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.application.errors import AccountHasOpenOrders, CopyUnfinished, StorageNotEmpty
from ordergate.application.ports.archive import (
    RECORD_TYPES,
    AccountKind,
    AccountRecord,
    CopyCheckpoint,
    KeyRecord,
    Record,
    RefreshTokenRecord,
    SessionRecord,
    SubjectRecord,
)
from ordergate.application.ports.orders import IdempotencyKey, OrderQuery
from ordergate.application.ports.sessions import (
    NewSession,
    Rotation,
    RotationOutcome,
    TokenExchange,
)
from ordergate.application.ports.storage import Storage
from ordergate.domain.order import OrderId, OrderStatus
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.scope import Scope
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import MAX_ID, PasswordHash, UserId, Username
from tests.contracts.storage.atomicity_contract import LATE, AtomicityContract, all_records
from tests.support.builders import (
    ADDRESS,
    ALICE,
    AT,
    BOB,
    SEALED,
    a_key,
    a_session,
    a_token,
    an_order,
    bobs_order,
    digest,
)
from tests.support.properties import at_most
from tests.support.storage.storage_calls import MARK, get_archive, have_same_items, read_all
from tests.support.storage.storage_strategies import whole_storages


async def write(storage: Storage, *records: Record, checkpoint: CopyCheckpoint = MARK) -> None:
    await get_archive(storage).write(records, checkpoint=checkpoint)


def opened(user: int, name: str) -> AccountRecord:
    return AccountRecord(UserId(user), AccountKind.OPEN, Username(name), PasswordHash("hash"))


COPIED: dict[str, list[Record]] = {
    "accounts": [
        AccountRecord(BOB.id, AccountKind.OPEN, BOB.username, BOB.password_hash),
        AccountRecord(UserId(3), AccountKind.EXTERNAL),
        AccountRecord(UserId(4), AccountKind.CLOSED),
    ],
    "subjects": [SubjectRecord("https://id.example", "carol", UserId(3))],
    "sessions": [
        SessionRecord(a_session(1, BOB.id)),
        SessionRecord(a_session(2, BOB.id), AT, SessionEndReason.REVOKED),
    ],
    "refresh tokens": [
        RefreshTokenRecord(digest(1), a_session(1).id, LATE, AT, SEALED),
        RefreshTokenRecord(digest(2), a_session(1).id, LATE),
    ],
    "orders": [bobs_order(1), bobs_order(2)],
    "idempotency keys": [KeyRecord(BOB.id, a_key(value), OrderId(1)) for value in ("old", "new")],
}


class ArchiveContract(AtomicityContract):
    """`Archive` and `Storage.open`."""

    @at_most(40)
    @given(whole=whole_storages(), limit=st.integers(1, 3))
    async def test_records_of_every_kind_come_back_as_they_were_written(
        self, storage: Storage, whole: dict[str, list[Any]], limit: int
    ) -> None:
        await self.empty(storage)
        for name, records in whole.items():
            await get_archive(storage).write(records, checkpoint=replace(MARK, kind=name))
        for name, records in whole.items():
            assert have_same_items(await read_all(storage, name, limit), records)
            assert await get_archive(storage).count(RECORD_TYPES[name]) == len(records)

    async def test_own_storage_leaves_nothing_behind(self, storage: Storage) -> None:
        assert [*await get_archive(storage).list_left_behind()] == []

    async def test_archive_reads_records_of_what_use_cases_stored(self, storage: Storage) -> None:
        alice = await storage.users.add(Username("alice"), PasswordHash("hash"))
        carol = await storage.users.add(Username("carol"), PasswordHash("hash"))
        bob = await storage.users.get_or_create_by_subject("https://id.example", "bob")
        await storage.users.close(carol.id, password_hash=PasswordHash("hash"), at=AT)
        session = Session(
            SessionId("a" * 32), alice.id, "shop", "192.0.2.1", frozenset(Scope), AT, AT, AT
        )
        session = replace(session, expires_at=AT + timedelta(days=1))
        old, new = TokenDigest(b"o" * 32), TokenDigest(b"n" * 32)
        dies = AT + timedelta(hours=1)
        await storage.sessions.start(
            NewSession(session, old, token_expires_at=dies, password_hash=PasswordHash("hash")),
            limit=100,
        )
        await storage.sessions.rotate(
            TokenExchange(
                old, new, sealed=b"s" * 32, at=AT, expires_at=dies, grace=timedelta(seconds=10)
            )
        )
        await storage.sessions.end(
            session.id, user=alice.id, reason=SessionEndReason.SIGNED_OUT, at=AT
        )
        order = an_order(owner=alice.id)
        key = IdempotencyKey("a wish", order.placed_at + timedelta(days=1))
        await storage.orders.add(order, owner=alice.id, key=key)
        assert {name: await read_all(storage, name) for name in RECORD_TYPES} == {
            "accounts": [
                AccountRecord(alice.id, AccountKind.OPEN, alice.username, alice.password_hash),
                AccountRecord(carol.id, AccountKind.CLOSED),
                AccountRecord(bob, AccountKind.EXTERNAL),
            ],
            "subjects": [SubjectRecord("https://id.example", "bob", bob)],
            "sessions": [SessionRecord(session, AT, SessionEndReason.SIGNED_OUT)],
            "refresh tokens": [
                RefreshTokenRecord(new, session.id, dies),
                RefreshTokenRecord(old, session.id, dies, AT, b"s" * 32),
            ],
            "orders": [order],
            "idempotency keys": [KeyRecord(alice.id, key, order.id)],
        }

    async def test_written_records_are_used_like_any_others(self, storage: Storage) -> None:
        subject = SubjectRecord("https://id.example", "bob", UserId(9))
        await write(storage, opened(4, "alice"), AccountRecord(UserId(9), AccountKind.EXTERNAL))
        await write(storage, subject)
        await write(storage, an_order(owner=4), an_order(owner=9))
        await get_archive(storage).finish()
        alice = await storage.users.find(Username("alice"))
        assert alice is not None
        assert await storage.orders.get_owned(OrderId(7), owner=alice.id) == an_order(owner=4)
        assert await storage.users.get_or_create_by_subject("https://id.example", "bob") == 9
        assert await storage.orders.add(an_order(8, owner=9), owner=UserId(9)) is not None

    async def test_closed_account_that_was_written_takes_no_order(self, storage: Storage) -> None:
        await write(storage, AccountRecord(UserId(4), AccountKind.CLOSED))
        assert await storage.users.get(UserId(4)) is None
        assert await storage.orders.add(an_order(owner=4), owner=UserId(4)) is None

    async def test_new_accounts_have_other_ids_than_written_ones(self, storage: Storage) -> None:
        await write(storage, opened(2, "alice"), AccountRecord(UserId(3), AccountKind.CLOSED))
        await write(storage, AccountRecord(UserId(1), AccountKind.EXTERNAL))
        await get_archive(storage).finish()
        bob = await storage.users.add(Username("bob"), PasswordHash("hash"))
        subject = await storage.users.get_or_create_by_subject("https://id.example", "carol")
        assert len({1, 2, 3, bob.id, subject}) == 5

    async def test_new_account_replaces_no_written_one_when_ids_have_gaps(
        self, storage: Storage
    ) -> None:
        written = [opened(i, f"u{i}") for i in (9, 2, 3)]
        await write(storage, *written)
        await get_archive(storage).finish()
        added = [await storage.users.add(Username(f"n{i}"), PasswordHash("h")) for i in range(8)]
        subjects = [
            await storage.users.get_or_create_by_subject("https://id.example", f"{i}")
            for i in range(8)
        ]
        assert len({2, 3, 9, *(user.id for user in added), *subjects}) == 19
        for record in written:
            user = await storage.users.get(record.id)
            assert user is not None
            assert user.username == record.username

    async def test_orders_that_were_written_are_used_like_any_others(
        self, storage: Storage
    ) -> None:
        paid, placed = an_order(7), replace(an_order(8), status=OrderStatus.PLACED)
        key = IdempotencyKey("a wish", placed.placed_at + timedelta(days=1))
        await write(storage, opened(1, "alice"))
        await write(storage, paid, placed)
        await write(storage, KeyRecord(UserId(1), key, placed.id))
        await get_archive(storage).finish()
        for status, there in ((OrderStatus.PAID, paid), (OrderStatus.PLACED, placed)):
            page = await storage.orders.list_owned(
                OrderQuery(status=status, limit=3), owner=UserId(1)
            )
            assert list(page) == [there]
        assert list(await storage.orders.list_owned(OrderQuery(limit=3), owner=UserId(1))) == [
            placed,
            paid,
        ]
        assert list(await storage.staff_orders.list_owners(placed.id)) == [1]
        again = replace(placed, id=OrderId(9))
        assert await storage.orders.add(again, owner=UserId(1), key=key) == placed
        with pytest.raises(AccountHasOpenOrders):
            await storage.users.close(UserId(1), password_hash=PasswordHash("hash"), at=AT)
        assert await storage.orders.purge_expired_keys(expired_by=key.expires_at, limit=9) == 1

    async def test_sessions_that_were_written_are_used_like_any_others(
        self, storage: Storage
    ) -> None:
        active, over = a_session(1), replace(a_session(2), address="192.0.2.1")
        await write(storage, opened(1, "alice"))
        await write(
            storage, SessionRecord(active), SessionRecord(over, AT, SessionEndReason.REVOKED)
        )
        await write(storage, a_token(1, active, AT), a_token(2, active), a_token(3, over))
        await get_archive(storage).finish()
        sessions, user = storage.sessions, UserId(1)
        assert list(await sessions.list_active(user, at=AT, limit=3)) == [active]
        assert [await sessions.is_active(each.id, user=user, at=AT) for each in (active, over)] == [
            True,
            False,
        ]
        for address in (ADDRESS, "192.0.2.1"):
            assert await sessions.has_signed_in_from(user, address)
        assert await sessions.ended_since(AT) == {over.id: AT}
        assert await sessions.get_by_refresh_token(TokenDigest((3).to_bytes(32))) == over

        async def rotate(old: int) -> Rotation:
            return await sessions.rotate(
                TokenExchange(
                    TokenDigest(old.to_bytes(32)),
                    TokenDigest((9).to_bytes(32)),
                    sealed=b"t" * 32,
                    at=AT + timedelta(seconds=9),
                    expires_at=active.expires_at,
                    grace=timedelta(seconds=10),
                )
            )

        assert await rotate(1) == Rotation(RotationOutcome.REPLAYED, b"s" * 32)
        assert await rotate(2) == Rotation(RotationOutcome.ROTATED, b"t" * 32)
        assert await rotate(3) == Rotation(RotationOutcome.INVALID)
        forgotten = await sessions.purge_ended(over_by=AT, limit=9)
        assert forgotten.sessions == 1

    @pytest.mark.parametrize("limit", [1, 2, 3])
    async def test_pages_leave_out_no_record_at_their_ends(
        self, storage: Storage, limit: int
    ) -> None:
        """Records that are alike in most of their key have different places."""
        records: dict[str, list[Record]] = {
            "accounts": [opened(1, "a"), opened(10, "b"), opened(MAX_ID, "c")],
            "subjects": [],
            "sessions": [SessionRecord(a_session(i)) for i in range(1, 6)],
            "refresh tokens": [a_token(i, a_session(1)) for i in range(1, 6)],
            "orders": [an_order(i, owner=owner) for owner in (1, 10) for i in (1, 9, 10, MAX_ID)],
        }
        records["idempotency keys"] = [
            KeyRecord(UserId(owner), IdempotencyKey(value, AT), OrderId(1))
            for owner in (1, 10)
            for value in ("1", "11", "a", "A", "a ")
        ]
        for name, some in records.items():
            await write(storage, *some, checkpoint=replace(MARK, kind=name))
        for name, some in records.items():
            assert have_same_items(await read_all(storage, name, limit), some)

    async def test_longest_records_have_cursors(self, storage: Storage) -> None:
        longest = "\U0001f600" * 255
        subjects = [SubjectRecord(longest[:-1] + last, longest, UserId(1)) for last in "12"]
        keys = [IdempotencyKey("~" * 254 + last, AT) for last in "12"]
        await write(storage, AccountRecord(UserId(1), AccountKind.EXTERNAL))
        await write(storage, *subjects)
        await write(storage, an_order())
        await write(storage, *(KeyRecord(UserId(1), key, OrderId(7)) for key in keys))
        assert have_same_items(await read_all(storage, "subjects", 1), subjects)
        assert len(await read_all(storage, "idempotency keys", 1)) == 2

    async def test_pages_leave_out_no_record_when_others_are_removed(
        self, storage: Storage
    ) -> None:
        """A place is a key, not a number of records."""
        records = [SessionRecord(a_session(i)) for i in range(1, 7)]
        await write(storage, opened(1, "alice"))
        await write(storage, *records)
        await get_archive(storage).finish()
        page, place = await get_archive(storage).read(SessionRecord, limit=2)
        seen = list(page)
        for record in page:
            session = record.session
            await storage.sessions.end(
                session.id, user=session.user, reason=SessionEndReason.REVOKED, at=AT
            )
        forgotten = await storage.sessions.purge_ended(over_by=AT, limit=9)
        assert forgotten.sessions == 2
        while page:
            page, place = await get_archive(storage).read(SessionRecord, after=place, limit=2)
            seen += page
        assert have_same_items(seen, records)

    async def test_records_and_checkpoint_are_written_in_one_step(self, storage: Storage) -> None:
        assert await get_archive(storage).checkpoint() is None
        await write(storage, opened(1, "alice"))
        later = CopyCheckpoint(MARK.source, "orders", "x" * 1024)
        await write(storage, an_order(), checkpoint=later)
        assert await get_archive(storage).checkpoint() == later
        with pytest.raises(ValueError, match="is there already"):
            await write(storage, an_order(8), an_order(), checkpoint=MARK)
        assert await get_archive(storage).checkpoint() == later
        assert await read_all(storage, "orders") == [an_order()]

    @pytest.mark.parametrize(
        "record",
        [
            opened(1, "another"),
            opened(9, "alice"),
            SubjectRecord("https://id.example", "bob", UserId(2)),
            SessionRecord(a_session(1), AT, SessionEndReason.REVOKED),
            a_token(1, a_session(1), AT),
            an_order(),
            KeyRecord(UserId(1), IdempotencyKey("a wish", AT + timedelta(days=1)), OrderId(7)),
        ],
        ids=[
            "an account",
            "an account of the same name",
            "a subject",
            "a session",
            "a refresh token",
            "an order",
            "a key",
        ],
    )
    async def test_existing_record_is_not_written_again(
        self, storage: Storage, record: Record
    ) -> None:
        await write(storage, opened(1, "alice"), AccountRecord(UserId(2), AccountKind.EXTERNAL))
        await write(storage, SubjectRecord("https://id.example", "bob", UserId(2)))
        await write(storage, SessionRecord(a_session(1)))
        await write(storage, a_token(1, a_session(1)))
        await write(storage, an_order())
        await write(storage, KeyRecord(UserId(1), IdempotencyKey("a wish", AT), OrderId(7)))
        before = {name: await read_all(storage, name) for name in RECORD_TYPES}
        with pytest.raises(ValueError, match="is there already"):
            await write(storage, record)
        assert {name: await read_all(storage, name) for name in RECORD_TYPES} == before

    @pytest.mark.parametrize(
        "record",
        [
            an_order(owner=2),
            KeyRecord(UserId(1), IdempotencyKey("a wish", AT), OrderId(8)),
            RefreshTokenRecord(TokenDigest(b"d" * 32), SessionId("a" * 32), AT),
            SessionRecord(a_session(1, user=2)),
            SubjectRecord("https://id.example", "bob", UserId(2)),
        ],
        ids=["an order", "a key", "a refresh token", "a session", "a subject"],
    )
    async def test_record_with_a_missing_reference_is_not_written(
        self, storage: Storage, record: Record
    ) -> None:
        await write(storage, opened(1, "alice"))
        with pytest.raises(ValueError, match="what it refers to is not"):
            await write(storage, record)
        assert await get_archive(storage).count(type(record)) == 0

    async def test_archive_write_is_refused_when_the_storage_has_data(
        self, storage: Storage
    ) -> None:
        await self.fill(storage, [ALICE], [])
        with pytest.raises(StorageNotEmpty):
            await write(storage, opened(2, "bob"))
        assert await get_archive(storage).checkpoint() is None
        assert await get_archive(storage).count(AccountRecord) == 1

    async def test_archive_write_is_refused_when_the_copy_is_finished(
        self, storage: Storage
    ) -> None:
        await write(storage, opened(1, "alice"))
        await get_archive(storage).finish()
        assert await get_archive(storage).checkpoint() is None
        with pytest.raises(StorageNotEmpty):
            await write(storage, opened(2, "bob"))

    async def test_storage_with_an_unfinished_copy_opens_for_the_copy_alone(
        self, storage: Storage
    ) -> None:
        await write(storage, opened(1, "alice"))
        other = self.another(storage)
        with pytest.raises(CopyUnfinished, match="ordergate copy"):
            await other.open()
        await other.open(unfinished=True)
        assert await get_archive(other).checkpoint() == MARK
        await get_archive(other).finish()
        await other.open()
        await other.close()

    async def test_endings_are_returned_however_many_there_are(self, storage: Storage) -> None:
        numbers = range(1, 1_101)
        mark = CopyCheckpoint("f" * 64, "sessions", "a place")
        await get_archive(storage).write([opened(1, "alice")], checkpoint=mark)
        await get_archive(storage).write(
            [SessionRecord(a_session(number), AT, SessionEndReason.REVOKED) for number in numbers],
            checkpoint=mark,
        )
        await get_archive(storage).finish()
        ended = await storage.sessions.ended_since(AT)
        assert ended == {a_session(number).id: AT for number in numbers}

    async def test_purge_of_keys_is_atomic_when_any_step_fails(self, storage: Storage) -> None:
        await self.seed(storage)
        for i in (200, 201, 202):
            await storage.orders.add(bobs_order(i), owner=BOB.id, key=a_key(str(i)))

        async def forget(storage: Storage, attempt: int) -> bool:
            by = AT + timedelta(days=1)
            return await storage.orders.purge_expired_keys(expired_by=by, limit=9) == 4

        await self.assert_atomic(storage, forget)

    async def test_copy_keeps_its_checkpoint_when_any_step_fails(self, storage: Storage) -> None:
        for name, records in COPIED.items():

            async def write(
                storage: Storage, attempt: int, name: str = name, records: list[Record] = records
            ) -> bool:
                checkpoint = CopyCheckpoint("a storage", name, "a place")
                await get_archive(storage).write(records, checkpoint=checkpoint)
                return True

            await self.assert_atomic(storage, write, all_records)
            assert await get_archive(storage).count(RECORD_TYPES[name]) == len(records)

        async def finish(storage: Storage, attempt: int) -> bool:
            await get_archive(storage).finish()
            return True

        await self.assert_atomic(storage, finish, all_records)
        assert await get_archive(storage).checkpoint() is None
