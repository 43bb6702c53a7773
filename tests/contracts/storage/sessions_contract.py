"""Session repository contract, with what accounts do to sessions."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.application.errors import AccountHasOpenOrders
from ordergate.application.ports.archive import (
    SessionRecord,
)
from ordergate.application.ports.sessions import (
    Forgotten,
    NewSession,
    Rotation,
    RotationOutcome,
    TokenExchange,
)
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.users import PasswordChange
from ordergate.domain.order import FINAL_STATUSES, OrderStatus
from ordergate.domain.refresh_token import RefreshToken
from ordergate.domain.scope import Scope
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, User, UserId, Username
from tests.contracts.storage.storage_hooks import StorageHooks
from tests.support.builders import AT, HASH, a_session, an_order, digest
from tests.support.properties import at_most
from tests.support.storage.storage_calls import GRACE, active, rotate_token, start_session


class SessionRepositoryContract(StorageHooks):
    """`SessionRepository` and `UserRepository` of the fixture `storage`."""

    @pytest.fixture
    async def alice(self, storage: Storage) -> User:
        return await storage.users.add(Username("alice"), HASH)

    @pytest.fixture
    async def bob(self, storage: Storage, alice: User) -> User:
        bob = await storage.users.add(Username("bob"), HASH)
        assert bob.id != alice.id
        return bob

    async def test_session_is_read_as_it_was_started(self, storage: Storage, alice: User) -> None:
        session = a_session(user=alice.id)
        await start_session(storage, session, token=1)
        assert await storage.sessions.get_by_refresh_token(digest(1)) == session
        assert await storage.sessions.list_active(alice.id, at=AT, limit=100) == [session]
        assert await storage.sessions.get_by_refresh_token(digest(2)) is None

    @at_most(30)
    @given(
        times=st.tuples(*[st.datetimes(timezones=st.just(UTC))] * 3),
        client_id=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=255),
        address=st.text("0123456789abcdef:.", max_size=64),
        scope=st.frozensets(st.sampled_from(Scope)),
    )
    async def test_any_session_is_read_as_it_was_started(
        self,
        *,
        storage: Storage,
        times: tuple[datetime, datetime, datetime],
        client_id: str,
        address: str,
        scope: frozenset[Scope],
    ) -> None:
        user = await storage.users.find(Username("alice"))
        user = user or await storage.users.add(Username("alice"), HASH)
        started_at, last_used_at, expires_at = times
        session = Session(
            id=SessionId(uuid4().hex),
            user=user.id,
            client_id=client_id,
            address=address,
            scope=scope,
            started_at=started_at,
            last_used_at=last_used_at,
            expires_at=expires_at,
        )
        token = RefreshToken.new().digest
        assert (
            await storage.sessions.start(
                NewSession(session, token, token_expires_at=expires_at, password_hash=HASH),
                limit=100,
            )
            is not None
        )
        assert await storage.sessions.get_by_refresh_token(token) == session

    async def test_session_does_not_start_when_the_password_has_changed(
        self, storage: Storage, alice: User
    ) -> None:
        """The attempt ends no session, although the limit is reached."""
        await start_session(storage, a_session(2, alice.id), token=2)
        for session, stored in (
            (a_session(user=alice.id), PasswordHash("old hash")),
            (a_session(user=alice.id + 99), HASH),
        ):
            assert (
                await storage.sessions.start(
                    NewSession(session, digest(1), token_expires_at=AT, password_hash=stored),
                    limit=1,
                )
                is None
            )
        assert await active(storage, alice.id) == ["2"]
        assert await storage.sessions.get_by_refresh_token(digest(1)) is None

    async def test_sessions_beyond_the_limit_end_in_order_of_expiry(
        self, storage: Storage, alice: User, bob: User
    ) -> None:
        """Sessions of other users and ended sessions are not counted."""

        async def start_one(number: int, user: User, days: int, limit: int) -> list[str]:
            expires_at = AT + timedelta(days=days)
            session = replace(a_session(number, user.id), expires_at=expires_at)
            ended = await storage.sessions.start(
                NewSession(
                    session, digest(number), token_expires_at=expires_at, password_hash=HASH
                ),
                limit=limit,
            )
            assert ended is not None
            return sorted(session[-1] for session in ended)

        for number, user, days in ((1, bob, 1), (2, alice, 0), (3, alice, 9)):
            assert await start_one(number, user, days, limit=3) == []
        await storage.sessions.end(
            a_session(3).id, user=alice.id, reason=SessionEndReason.REVOKED, at=AT
        )
        for number, days in ((4, 7), (5, 5), (6, 6)):
            assert await start_one(number, alice, days, limit=3) == []
        assert await start_one(7, alice, 3, limit=3) == ["5"]
        assert sorted(await active(storage, alice.id)) == ["4", "6", "7"]
        assert await start_one(8, alice, 8, limit=2) == ["6", "7"]
        assert sorted(await active(storage, alice.id)) == ["4", "8"]
        assert await active(storage, bob.id) == ["1"]
        ended = await storage.sessions.ended_since(AT)
        assert sorted(session[-1] for session in ended) == ["3", "5", "6", "7"]

    async def test_sessions_are_listed_for_their_user_the_latest_used_first(
        self, storage: Storage, alice: User, bob: User
    ) -> None:
        for number in (1, 2, 3):
            used = AT + timedelta(microseconds=number % 3)
            await start_session(
                storage, replace(a_session(number, alice.id), last_used_at=used), token=number
            )
        await start_session(storage, a_session(4, bob.id), token=4)
        assert await active(storage, alice.id) == ["2", "1", "3"]
        assert [s.id[-1] for s in await storage.sessions.list_active(alice.id, at=AT, limit=2)] == [
            "2",
            "1",
        ]
        assert await active(storage, alice.id, at=AT + timedelta(days=30)) == []

    async def test_list_active_keeps_the_latest_used_sessions_when_there_are_more(
        self, storage: Storage, alice: User
    ) -> None:
        """The limit counts returned sessions, after sorting, without expired ones."""
        for number in range(1, 10):
            used = AT + timedelta(seconds=number)
            session = replace(a_session(number, alice.id), last_used_at=used)
            await start_session(storage, session, token=number)
        for number in (8, 9):
            await storage.sessions.end(
                a_session(number).id, user=alice.id, reason=SessionEndReason.REVOKED, at=AT
            )
        listed = await storage.sessions.list_active(alice.id, at=AT, limit=3)
        assert [session.id[-1] for session in listed] == ["7", "6", "5"]

    async def test_expired_session_is_not_listed(self, storage: Storage, alice: User) -> None:
        """Even though its refresh token has a later time."""
        soon = AT + timedelta(days=1)
        await start_session(storage, replace(a_session(1, alice.id), expires_at=soon), token=1)
        assert await active(storage, alice.id, at=soon - timedelta(microseconds=1)) == ["1"]
        assert await active(storage, alice.id, at=soon) == []

    async def test_session_is_listed_by_its_newest_token(
        self, storage: Storage, alice: User
    ) -> None:
        """A used token renews nothing, even before its expiry."""
        await start_session(storage, a_session(1, alice.id), token=1)
        soon = AT + timedelta(days=1)
        rotation = await storage.sessions.rotate(
            TokenExchange(
                digest(1), digest(2), sealed=b"s" * 32, at=AT, expires_at=soon, grace=GRACE
            )
        )
        assert rotation.outcome is RotationOutcome.ROTATED
        assert await active(storage, alice.id, at=soon) == []

    async def test_session_without_a_usable_token_is_not_listed(
        self, storage: Storage, alice: User
    ) -> None:
        await start_session(storage, a_session(user=alice.id), token=1)
        in_time = AT + timedelta(days=10) - timedelta(microseconds=1)
        assert await active(storage, alice.id, at=in_time) == ["1"]
        assert await active(storage, alice.id, at=AT + timedelta(days=10)) == []
        await rotate_token(storage, 1, 2, at=in_time)
        assert await active(storage, alice.id, at=AT + timedelta(days=11)) == ["1"]

    # Rotation

    async def test_token_is_rotated_once(self, storage: Storage, alice: User) -> None:
        await start_session(storage, a_session(user=alice.id), token=1)
        later = AT + timedelta(days=1)
        assert await rotate_token(storage, 1, 2, at=later) == Rotation(
            RotationOutcome.ROTATED, b"s" * 32
        )
        session = replace(a_session(user=alice.id), last_used_at=later)
        for token in (1, 2):
            assert await storage.sessions.get_by_refresh_token(digest(token)) == session

    async def test_token_is_used_when_it_was_rotated(self, storage: Storage, alice: User) -> None:
        await start_session(storage, a_session(user=alice.id), token=1)
        assert not await storage.sessions.is_used(digest(1))
        await rotate_token(storage, 1, 2)
        assert await storage.sessions.is_used(digest(1))
        assert not await storage.sessions.is_used(digest(2))
        assert not await storage.sessions.is_used(digest(3))

    async def test_rotation_is_replayed_within_the_grace_period(
        self, storage: Storage, alice: User
    ) -> None:
        await start_session(storage, a_session(user=alice.id), token=1)
        await rotate_token(storage, 1, 2, sealed=b"1" * 32)
        soon = AT + GRACE - timedelta(microseconds=1)
        repeated = await rotate_token(storage, 1, 3, at=soon, sealed=b"2" * 32)
        assert repeated == Rotation(RotationOutcome.REPLAYED, b"1" * 32)
        assert await storage.sessions.get_by_refresh_token(digest(3)) is None

    async def test_repeated_rotation_changes_nothing(self, storage: Storage, alice: User) -> None:
        """The grace period starts at the first use."""
        await start_session(storage, a_session(user=alice.id), token=1)
        await rotate_token(storage, 1, 2, sealed=b"1" * 32)
        for seconds in (3, 6, 9):
            at = AT + timedelta(seconds=seconds)
            repeated = await rotate_token(storage, 1, 2 + seconds, at=at, sealed=b"2" * 32)
            assert repeated == Rotation(RotationOutcome.REPLAYED, b"1" * 32)
            assert await storage.sessions.get_by_refresh_token(digest(1)) == a_session(
                user=alice.id
            )
            assert await storage.sessions.sealed_successor(digest(1)) == b"1" * 32
        assert await rotate_token(storage, 1, 3, at=AT + GRACE) == Rotation(RotationOutcome.REUSED)

    async def test_rotation_is_replayed_when_the_token_has_expired_since_its_use(
        self, storage: Storage, alice: User
    ) -> None:
        await start_session(storage, a_session(user=alice.id), token=1)
        in_time = AT + timedelta(days=10) - timedelta(seconds=1)
        await rotate_token(storage, 1, 2, at=in_time, sealed=b"1" * 32)
        repeated = await rotate_token(storage, 1, 3, at=in_time + timedelta(seconds=2))
        assert repeated == Rotation(RotationOutcome.REPLAYED, b"1" * 32)

    async def test_expired_session_is_not_ended_by_reuse(
        self, storage: Storage, alice: User
    ) -> None:
        session = replace(a_session(user=alice.id), expires_at=AT + timedelta(days=1))
        await start_session(storage, session, token=1)
        await rotate_token(storage, 1, 2)
        for token in (1, 2):
            rotation = await rotate_token(storage, token, 3, at=session.expires_at)
            assert rotation == Rotation(RotationOutcome.INVALID)
        assert await storage.sessions.ended_since(AT) == {}

    async def test_sealed_successor_is_returned_while_it_is_kept(
        self, storage: Storage, alice: User
    ) -> None:
        await start_session(storage, a_session(user=alice.id), token=1)
        assert await storage.sessions.sealed_successor(digest(1)) is None
        await rotate_token(storage, 1, 2, sealed=b"1" * 32)
        assert await storage.sessions.sealed_successor(digest(1)) == b"1" * 32
        assert await storage.sessions.sealed_successor(digest(2)) is None
        assert await storage.sessions.sealed_successor(digest(3)) is None

    async def test_sealed_successor_outlives_the_next_rotation(
        self, storage: Storage, alice: User
    ) -> None:
        await start_session(storage, a_session(user=alice.id), token=1)
        await rotate_token(storage, 1, 2, sealed=b"1" * 32)
        soon = AT + timedelta(seconds=5)
        await rotate_token(storage, 2, 3, at=soon)
        assert await rotate_token(storage, 1, 4, at=soon) == Rotation(
            RotationOutcome.REPLAYED, b"1" * 32
        )

    async def test_reuse_ends_the_session(self, storage: Storage, alice: User) -> None:
        await start_session(storage, a_session(1, alice.id), token=1)
        await start_session(storage, a_session(2, alice.id), token=2)
        await rotate_token(storage, 1, 3)
        late = AT + GRACE
        assert await rotate_token(storage, 1, 4, at=late) == Rotation(RotationOutcome.REUSED)
        assert await active(storage, alice.id, at=late) == ["2"]
        assert await storage.sessions.ended_since(late) == {a_session(1).id: late}
        for token in (1, 3):
            assert await rotate_token(storage, token, 5, at=late) == Rotation(
                RotationOutcome.INVALID
            )
        assert await storage.sessions.get_by_refresh_token(digest(1)) is not None

    async def test_reuse_is_detected_at_any_later_time(self, storage: Storage, alice: User) -> None:
        await start_session(storage, a_session(user=alice.id), token=1)
        await rotate_token(storage, 1, 2)
        await rotate_token(storage, 2, 3, at=AT + timedelta(days=9))
        assert (
            await rotate_token(storage, 1, 4, at=AT + timedelta(days=15))
        ).outcome is RotationOutcome.REUSED

    async def test_token_is_invalid_when_it_or_its_session_has_ended(
        self, storage: Storage, alice: User
    ) -> None:
        for number in (1, 2):
            await start_session(storage, a_session(number, alice.id), token=number)
        await storage.sessions.end(
            a_session(2).id, user=alice.id, reason=SessionEndReason.SIGNED_OUT, at=AT
        )
        assert await rotate_token(storage, 2, 3) == Rotation(RotationOutcome.INVALID)
        assert await rotate_token(storage, 9, 3) == Rotation(RotationOutcome.INVALID)
        expired = AT + timedelta(days=10)
        assert await rotate_token(storage, 1, 3, at=expired) == Rotation(RotationOutcome.INVALID)
        in_time = expired - timedelta(microseconds=1)
        assert (await rotate_token(storage, 1, 3, at=in_time)).outcome is RotationOutcome.ROTATED

    async def test_session_is_inactive_when_it_has_expired(
        self, storage: Storage, alice: User
    ) -> None:
        session = replace(a_session(user=alice.id), expires_at=AT + timedelta(seconds=1))
        await start_session(storage, session, token=1)
        assert await rotate_token(storage, 1, 2, at=session.expires_at) == Rotation(
            RotationOutcome.INVALID
        )
        assert not await storage.sessions.is_active(
            session.id, user=alice.id, at=session.expires_at
        )

    async def test_parallel_rotations_succeed_once(self, storage: Storage, alice: User) -> None:
        await start_session(storage, a_session(user=alice.id), token=1)
        rotations = await asyncio.gather(
            *(rotate_token(storage, 1, 100 + i, sealed=bytes([i]) * 32) for i in range(50))
        )
        outcomes = [rotation.outcome for rotation in rotations]
        assert outcomes.count(RotationOutcome.ROTATED) == 1
        assert outcomes.count(RotationOutcome.REPLAYED) == 49
        winner = outcomes.index(RotationOutcome.ROTATED)
        assert {rotation.sealed for rotation in rotations} == {bytes([winner]) * 32}
        stored = [
            number
            for number in range(50)
            if await storage.sessions.get_by_refresh_token(digest(100 + number))
        ]
        assert stored == [winner]

    # Ending

    async def test_session_is_ended_by_its_user_once(
        self, storage: Storage, alice: User, bob: User
    ) -> None:
        await start_session(storage, a_session(1, alice.id), token=1)
        session = a_session(1).id

        async def end_session(user: User) -> bool:
            return await storage.sessions.end(
                session, user=user.id, reason=SessionEndReason.REVOKED, at=AT
            )

        assert not await end_session(bob)
        assert await storage.sessions.is_active(session, user=alice.id, at=AT)
        assert not await storage.sessions.is_active(session, user=bob.id, at=AT)
        assert await end_session(alice)
        assert not await end_session(alice)
        assert not await storage.sessions.is_active(session, user=alice.id, at=AT)

    async def test_all_sessions_of_a_user_are_ended(
        self, storage: Storage, alice: User, bob: User
    ) -> None:
        for number, user in ((1, alice), (2, alice), (3, bob)):
            await start_session(storage, a_session(number, user.id), token=number)
        ended = await storage.sessions.end_all(alice.id, reason=SessionEndReason.SIGNED_OUT, at=AT)
        assert sorted(ended) == [a_session(1).id, a_session(2).id]
        assert await active(storage, alice.id) == []
        assert await active(storage, bob.id) == ["3"]
        assert not await storage.sessions.end_all(
            alice.id, reason=SessionEndReason.SIGNED_OUT, at=AT
        )

    async def test_ended_since_returns_endings_from_that_time_on(
        self, storage: Storage, alice: User
    ) -> None:
        times = [AT + timedelta(microseconds=i) for i in (1, 2, 3)]
        for number, at in enumerate(times, start=1):
            await start_session(storage, a_session(number, alice.id), token=number)
            await storage.sessions.end(
                a_session(number).id, user=alice.id, reason=SessionEndReason.SIGNED_OUT, at=at
            )
        assert await storage.sessions.ended_since(times[1]) == {
            a_session(2).id: times[1],
            a_session(3).id: times[2],
        }

    async def test_every_ending_is_kept_with_its_time_and_reason(
        self, storage: Storage, alice: User, bob: User
    ) -> None:
        """Every method that ends a session stores its reason."""
        carol = await storage.users.add(Username("carol"), HASH)
        for number, user in ((1, alice), (2, bob), (3, carol), (4, carol)):
            await start_session(storage, a_session(number, user.id), token=number)
        await rotate_token(storage, 1, 11)
        at = [AT + timedelta(minutes=i) for i in range(5)]
        await rotate_token(storage, 1, 12, at=at[1])
        new, disabled = PasswordHash("new"), SessionEndReason.ACCOUNT_DISABLED
        await storage.users.change_password(
            PasswordChange(carol.id, old=HASH, new=new, keep=None, at=at[2])
        )
        dave = await storage.users.add(Username("dave"), HASH)
        await start_session(storage, a_session(6, dave.id), token=6)
        await storage.users.change_password(
            PasswordChange(dave.id, old=HASH, new=new, keep=None, at=at[2], reason=disabled)
        )
        await start_session(storage, a_session(5, alice.id), token=5)
        await storage.sessions.end_all(alice.id, reason=SessionEndReason.SIGNED_OUT, at=at[3])
        await storage.users.close(bob.id, password_hash=HASH, at=at[4])
        assert await storage.sessions.ended_since(AT) == {
            a_session(1).id: at[1],
            a_session(2).id: at[4],
            a_session(3).id: at[2],
            a_session(4).id: at[2],
            a_session(5).id: at[3],
            a_session(6).id: at[2],
        }
        if storage.archive is None:
            return
        records, _ = await storage.archive.read(SessionRecord, limit=9)
        assert {int(record.session.id): record.ending for record in records} == {
            1: SessionEndReason.REUSE,
            2: SessionEndReason.ACCOUNT_CLOSED,
            3: SessionEndReason.PASSWORD_CHANGED,
            4: SessionEndReason.PASSWORD_CHANGED,
            5: SessionEndReason.SIGNED_OUT,
            6: SessionEndReason.ACCOUNT_DISABLED,
        }

    async def test_ending_is_never_overwritten(self, storage: Storage, alice: User) -> None:
        await start_session(storage, a_session(1, alice.id), token=1)
        session, later = a_session(1).id, AT + timedelta(hours=1)
        assert await storage.sessions.end(
            session, user=alice.id, reason=SessionEndReason.REVOKED, at=AT
        )
        assert not await storage.sessions.end(
            session, user=alice.id, reason=SessionEndReason.SIGNED_OUT, at=later
        )
        await storage.sessions.end_all(alice.id, reason=SessionEndReason.SIGNED_OUT, at=later)
        new = PasswordHash("new")
        await storage.users.change_password(
            PasswordChange(alice.id, old=HASH, new=new, keep=None, at=later)
        )
        await storage.users.close(alice.id, password_hash=new, at=later)
        assert await storage.sessions.ended_since(AT) == {session: AT}
        if storage.archive is None:
            return
        records, _ = await storage.archive.read(SessionRecord, limit=9)
        assert [(record.ended_at, record.ending) for record in records] == [
            (AT, SessionEndReason.REVOKED)
        ]

    async def test_expired_session_is_not_ended(self, storage: Storage, alice: User) -> None:
        session = a_session(1, alice.id)
        await start_session(storage, session, token=1)
        at = session.expires_at
        assert not await storage.sessions.end(
            session.id, user=alice.id, reason=SessionEndReason.REVOKED, at=at
        )
        assert (
            await storage.sessions.end_all(alice.id, reason=SessionEndReason.REVOKED, at=at) == []
        )
        assert await storage.sessions.ended_since(AT) == {}

    async def test_addresses_of_all_sessions_stay_familiar(
        self, storage: Storage, alice: User
    ) -> None:
        addresses = ["2001:db8::1", "192.0.2.1", "198.51.100.7"]
        for number, address in enumerate(addresses):
            await start_session(
                storage, replace(a_session(number, alice.id), address=address), token=number
            )
        assert [
            await storage.sessions.has_signed_in_from(alice.id, each) for each in addresses
        ] == [
            True,
            True,
            True,
        ]

    async def test_address_stays_familiar_to_its_user_alone(
        self, storage: Storage, alice: User, bob: User
    ) -> None:
        await start_session(storage, a_session(1, alice.id), token=1)
        await storage.sessions.end_all(alice.id, reason=SessionEndReason.SIGNED_OUT, at=AT)
        assert await storage.sessions.has_signed_in_from(alice.id, "2001:db8::1")
        assert await storage.sessions.has_signed_in_from(alice.id, "2001:db8::ffff:0:0:2")
        assert not await storage.sessions.has_signed_in_from(alice.id, "2001:db8:0:1::1")
        assert not await storage.sessions.has_signed_in_from(bob.id, "2001:db8::1")

    async def test_ipv4_address_is_familiar_in_every_spelling(
        self, storage: Storage, alice: User
    ) -> None:
        await start_session(
            storage, replace(a_session(1, alice.id), address="::ffff:192.0.2.1"), token=1
        )
        assert await storage.sessions.has_signed_in_from(alice.id, "192.0.2.1")
        for other in ("192.0.2.10", "192.0.2.", "::ffff:192.0.2.2", ""):
            assert not await storage.sessions.has_signed_in_from(alice.id, other)

    # Accounts

    async def test_get_returns_an_open_account(self, storage: Storage, alice: User) -> None:
        assert await storage.users.get(alice.id) == alice
        assert await storage.users.get(UserId(alice.id + 99)) is None

    async def test_changed_password_ends_all_sessions_but_one(
        self, storage: Storage, alice: User, bob: User
    ) -> None:
        for number, user in ((1, alice), (2, alice), (3, alice), (4, bob)):
            await start_session(storage, a_session(number, user.id), token=number)
        ended = await storage.users.change_password(
            PasswordChange(alice.id, old=HASH, new=PasswordHash("new"), keep=a_session(2).id, at=AT)
        )
        assert sorted(ended or ()) == [a_session(1).id, a_session(3).id]
        assert await active(storage, alice.id) == ["2"]
        assert await active(storage, bob.id) == ["4"]
        assert await storage.users.get(alice.id) == replace(
            alice, password_hash=PasswordHash("new")
        )

    # Purging

    @pytest.mark.parametrize("early", [timedelta(0), timedelta(microseconds=1)])
    async def test_purge_ended_removes_sessions_over_by_the_given_time(
        self, storage: Storage, alice: User, early: timedelta
    ) -> None:
        await start_session(storage, a_session(1, alice.id), token=1)
        await start_session(storage, a_session(2, alice.id), token=2)
        await start_session(storage, replace(a_session(3, alice.id), expires_at=AT), token=3)
        await start_session(storage, a_session(4, alice.id), token=4)
        await rotate_token(storage, old=1, new=5)
        await storage.sessions.end(
            a_session(1).id, user=alice.id, reason=SessionEndReason.REVOKED, at=AT
        )
        forgotten = (await storage.sessions.purge_ended(over_by=AT - early, limit=10)).sessions
        left = [
            number
            for number in range(1, 6)
            if await storage.sessions.get_by_refresh_token(digest(number))
        ]
        assert (forgotten, left) == ((0, [1, 2, 3, 4, 5]) if early else (2, [2, 4]))

    async def test_session_is_over_at_the_earlier_of_its_end_and_expiry(
        self, storage: Storage, alice: User
    ) -> None:
        await start_session(storage, a_session(1, alice.id), token=1)
        await storage.sessions.end(
            a_session(1).id, user=alice.id, reason=SessionEndReason.REVOKED, at=AT
        )
        assert await storage.sessions.purge_ended(over_by=AT, limit=10) == Forgotten(1, 1)

    async def test_purge_ended_keeps_a_session_until_it_is_over(
        self, storage: Storage, alice: User
    ) -> None:
        """A session that cannot be renewed may still be in use."""
        session = a_session(1, alice.id)
        await start_session(storage, session, token=1)
        before = session.expires_at - timedelta(microseconds=1)
        assert await storage.sessions.purge_ended(over_by=before, limit=9) == Forgotten(0, 0)
        assert await storage.sessions.is_active(session.id, user=alice.id, at=before)
        assert await storage.sessions.purge_ended(over_by=session.expires_at, limit=9) == Forgotten(
            1, 1
        )

    async def test_purge_ended_removes_at_most_its_limit_of_rows(
        self, storage: Storage, alice: User
    ) -> None:
        for number in range(1, 4):
            await start_session(storage, a_session(number, alice.id), token=number)
        for number in range(10, 16):
            await rotate_token(storage, old=number - 1 if number > 10 else 1, new=number)
        await storage.sessions.end_all(alice.id, reason=SessionEndReason.SIGNED_OUT, at=AT)
        steps = [await storage.sessions.purge_ended(over_by=AT, limit=4) for _ in range(4)]
        assert [sum(step) <= 4 for step in steps] == [True] * 4
        assert (sum(s.sessions for s in steps), sum(s.tokens for s in steps)) == (3, 9)
        assert await storage.sessions.purge_ended(over_by=AT, limit=4) == Forgotten(0, 0)

    async def test_purge_ended_keeps_a_session_while_it_has_tokens(
        self, storage: Storage, alice: User
    ) -> None:
        await start_session(storage, a_session(1, alice.id), token=1)
        await rotate_token(storage, old=1, new=2)
        await storage.sessions.end_all(alice.id, reason=SessionEndReason.SIGNED_OUT, at=AT)
        steps = [await storage.sessions.purge_ended(over_by=AT, limit=1) for _ in range(4)]
        assert steps == [Forgotten(0, 1), Forgotten(0, 1), Forgotten(1, 0), Forgotten(0, 0)]

    async def test_purged_session_is_unknown(self, storage: Storage, alice: User) -> None:
        session = a_session(1, alice.id)
        await start_session(storage, session, token=1)
        await rotate_token(storage, old=1, new=2)
        await storage.sessions.end(
            session.id, user=alice.id, reason=SessionEndReason.SIGNED_OUT, at=AT
        )
        await storage.sessions.purge_ended(over_by=AT, limit=3)
        assert not await storage.sessions.has_signed_in_from(alice.id, session.address)
        assert not await storage.sessions.is_active(session.id, user=alice.id, at=AT)
        assert await storage.sessions.ended_since(AT) == {}
        assert await rotate_token(storage, old=1, new=3) == Rotation(RotationOutcome.INVALID)
        assert not await storage.sessions.is_used(digest(1))

    async def test_parallel_purges_both_end(self, storage: Storage, alice: User) -> None:
        for number in range(1, 11):
            await start_session(storage, a_session(number, alice.id), token=number)
        await storage.sessions.end_all(alice.id, reason=SessionEndReason.SIGNED_OUT, at=AT)
        counts = await asyncio.gather(
            *(storage.sessions.purge_ended(over_by=AT, limit=5) for _ in range(4))
        )
        while any(step := await storage.sessions.purge_ended(over_by=AT, limit=10)):
            counts.append(step)
        assert [sum(each) for each in zip(*counts, strict=True)] == [10, 10]
        tokens = [
            await storage.sessions.get_by_refresh_token(digest(number)) for number in range(1, 11)
        ]
        assert tokens == [None] * 10

    async def test_password_change_may_end_all_sessions(
        self, storage: Storage, alice: User
    ) -> None:
        await start_session(storage, a_session(1, alice.id), token=1)
        ended = await storage.users.change_password(
            PasswordChange(alice.id, old=HASH, new=PasswordHash("new"), keep=None, at=AT)
        )
        assert ended == [a_session(1).id]

    async def test_password_change_does_nothing_when_the_old_hash_differs(
        self, storage: Storage, alice: User
    ) -> None:
        await start_session(storage, a_session(1, alice.id), token=1)
        wrong = PasswordHash("wrong")
        changed = await storage.users.change_password(
            PasswordChange(alice.id, old=wrong, new=PasswordHash("new"), keep=None, at=AT)
        )
        closed = await storage.users.close(alice.id, password_hash=wrong, at=AT)
        assert changed is closed is None
        assert await storage.users.get(alice.id) == alice
        assert await active(storage, alice.id) == ["1"]

    async def test_closed_account_leaves_its_orders_and_no_name(self, storage: Storage) -> None:
        user = User(UserId(7), Username("carol"), HASH)
        order = replace(an_order(owner=7), status=OrderStatus.DELIVERED)
        await self.fill(storage, [user], [order])
        await start_session(storage, a_session(1, user=7), token=1)
        ended = await storage.users.close(user.id, password_hash=HASH, at=AT)
        assert ended == [a_session(1).id]
        assert await storage.users.get(user.id) is None
        assert await storage.users.find(user.username) is None
        assert await active(storage, user.id) == []
        assert await storage.orders.get_owned(order.id, owner=user.id) == order
        again = await storage.users.add(Username("carol"), HASH)
        assert again.id != user.id
        assert await storage.users.close(again.id, password_hash=HASH, at=AT) == []
        assert await storage.users.close(again.id, password_hash=HASH, at=AT) is None

    @pytest.mark.parametrize("status", sorted(set(OrderStatus) - FINAL_STATUSES))
    async def test_account_with_an_open_order_is_not_closed(
        self, storage: Storage, status: OrderStatus
    ) -> None:
        user = User(UserId(7), Username("carol"), HASH)
        await self.fill(storage, [user], [replace(an_order(owner=7), status=status)])
        await start_session(storage, a_session(1, user=7), token=1)
        with pytest.raises(AccountHasOpenOrders):
            await storage.users.close(user.id, password_hash=HASH, at=AT)
        assert await storage.users.find(user.username) == user
        assert await active(storage, user=7) == ["1"]
