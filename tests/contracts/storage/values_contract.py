"""Value contract: every value is stored exactly, to the last bit.

Times are exact to the microsecond.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ordergate.application.ports.orders import IdempotencyKey, OrderQuery, Position
from ordergate.application.ports.sessions import NewSession, TokenExchange
from ordergate.application.ports.storage import Storage
from ordergate.domain.errors import InvalidUsername
from ordergate.domain.order import (
    OrderId,
    OrderStatus,
)
from ordergate.domain.refresh_token import RefreshToken
from ordergate.domain.session import Session, SessionEndReason, SessionId
from ordergate.domain.user import MAX_ID, MAX_USERNAME_LENGTH, PasswordHash, User, UserId, Username
from tests.contracts.storage.storage_hooks import StorageHooks
from tests.support.builders import ALICE, an_order
from tests.support.properties import at_most

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
DAY = timedelta(days=1)
ZONES: list[tzinfo] = [
    timezone(timedelta(0), "GMT"),
    ZoneInfo("Etc/UTC"),
    ZoneInfo("Europe/London"),  # in winter
    ZoneInfo("Africa/Abidjan"),
]
IDS = [1, 2, 9, 10, 127, 128, 255, 256, 65_535, 65_536, 2**31, 2**32, 2**53, MAX_ID - 1, MAX_ID]


def is_username(text: str) -> bool:
    with suppress(InvalidUsername):
        return bool(Username.new(text))
    return False


_letters = st.characters(categories=["Ll", "Lo", "Nd"])
_typed = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
usernames = st.one_of(
    st.text(_typed, min_size=1, max_size=MAX_USERNAME_LENGTH),
    st.text(_letters, min_size=1, max_size=8).filter(is_username),
).map(Username.new)
hashes = st.text(_typed, min_size=1, max_size=255).map(PasswordHash)


class ValuesContract(StorageHooks):
    """Round trips of whole values."""

    @at_most(50)
    @given(username=usernames, first=hashes, second=hashes)
    @example(Username("\u05e9\u05dc\u05d5\u05dd"), PasswordHash("right to left"), PasswordHash("h"))
    @example(Username("x\u0331\u0301"), PasswordHash("combining marks"), PasswordHash("h"))
    @example(Username("\U00010428" * 64), PasswordHash("beyond 16 bits"), PasswordHash("h"))
    @example(Username("a%_\\'\"`;--"), PasswordHash("' OR 1=1 --"), PasswordHash("\\"))
    async def test_any_account_is_read_as_it_was_opened(
        self, storage: Storage, username: Username, first: PasswordHash, second: PasswordHash
    ) -> None:
        await self.empty(storage)
        user = await storage.users.add(username, first)
        assert user == User(user.id, username, first)
        assert await storage.users.find(username) == await storage.users.get(user.id) == user
        assert await storage.users.replace_password_hash(user.id, old=first, new=second)
        assert await storage.users.get(user.id) == replace(user, password_hash=second)
        await self.empty(storage)
        loaded = User(UserId(user.id + 7), username, second)
        await self.fill(storage, [loaded], [])
        assert await storage.users.find(username) == await storage.users.get(loaded.id) == loaded

    # Time

    @pytest.mark.parametrize("zone", ZONES, ids=str)
    async def test_time_in_any_utc_zone_is_read_in_utc(
        self, storage: Storage, zone: tzinfo
    ) -> None:
        at = AT.astimezone(zone)
        placed = replace(an_order(), placed_at=at)
        await self.fill(storage, [ALICE], [replace(placed, id=OrderId(8))])
        await storage.orders.add(placed, owner=ALICE.id, key=IdempotencyKey("k", at + DAY))
        before = Position(at, 9)
        page = await storage.orders.list_owned(
            OrderQuery(since=at, before=before, limit=9), owner=ALICE.id
        )
        assert list(page) == [replace(placed, id=OrderId(8)), placed]
        session = Session(
            SessionId(uuid4().hex), ALICE.id, "shop", "::1", frozenset(), at, at, at + DAY
        )
        token, new = RefreshToken.new().digest, RefreshToken.new().digest
        assert (
            await storage.sessions.start(
                NewSession(
                    session, token, token_expires_at=at + DAY, password_hash=ALICE.password_hash
                ),
                limit=100,
            )
            is not None
        )
        await storage.sessions.rotate(
            TokenExchange(token, new, sealed=b"s" * 32, at=at, expires_at=at + DAY, grace=DAY)
        )
        assert list(await storage.sessions.list_active(ALICE.id, at=at, limit=2)) == [session]
        await storage.sessions.end_all(ALICE.id, reason=SessionEndReason.REVOKED, at=at)
        assert await storage.sessions.ended_since(at) == {session.id: at}
        stored = await storage.sessions.get_by_refresh_token(new)
        assert stored == session
        times = [
            *(order.placed_at for order in page),
            *(stored.started_at, stored.last_used_at, stored.expires_at),
            *(await storage.sessions.ended_since(at)).values(),
        ]
        assert {time.utcoffset() for time in times} == {timedelta(0)}

    @pytest.mark.parametrize("at", [EARLIEST, LATEST - timedelta(microseconds=1)], ids=str)
    async def test_session_accepts_the_first_and_last_time(
        self, storage: Storage, at: datetime
    ) -> None:
        alice = await storage.users.add(Username("alice"), PasswordHash("h"))
        end = at + timedelta(microseconds=1)
        session = Session(SessionId(uuid4().hex), alice.id, "shop", "::1", frozenset(), at, at, end)
        token = RefreshToken.new().digest
        assert (
            await storage.sessions.start(
                NewSession(session, token, token_expires_at=end, password_hash=alice.password_hash),
                limit=100,
            )
            is not None
        )
        assert await storage.sessions.get_by_refresh_token(token) == session
        assert await storage.sessions.is_active(session.id, user=alice.id, at=at)
        assert not await storage.sessions.is_active(session.id, user=alice.id, at=end)
        assert list(await storage.sessions.list_active(alice.id, at=at, limit=1)) == [session]
        assert list(await storage.sessions.list_active(alice.id, at=end, limit=1)) == []
        assert not await storage.sessions.end_all(alice.id, reason=SessionEndReason.REVOKED, at=end)
        assert await storage.sessions.end_all(alice.id, reason=SessionEndReason.REVOKED, at=at) == [
            session.id
        ]
        assert await storage.sessions.ended_since(EARLIEST) == {session.id: at}

    async def test_joined_values_are_not_confused(self, storage: Storage) -> None:
        """Neither parts of a key nor whole keys are confused."""
        people = [User(UserId(i), Username(f"u{i}"), PasswordHash("h")) for i in (1, 11, 111)]
        await self.fill(storage, people, [])
        wishes = [(owner.id, value) for owner in people for value in ("1", "11", "111", "11 1")]
        for number, (owner, value) in enumerate(wishes, start=1):
            order = replace(an_order(number, owner=owner), status=OrderStatus.DELIVERED)
            key = IdempotencyKey(value, order.placed_at + DAY)
            assert await storage.orders.add(order, owner=owner, key=key) == order
        subjects = [("ab", "c"), ("a", "bc"), ("abc", "\\"), ("", "abc"), ('a","', "b")]
        ids = [await storage.users.get_or_create_by_subject(*each) for each in subjects]
        assert len({*ids, *(person.id for person in people)}) == len(subjects) + len(people)
        assert [await storage.users.get_or_create_by_subject(*each) for each in subjects] == ids

    async def test_accounts_of_any_id_are_found(self, storage: Storage) -> None:
        owners = [User(UserId(i), Username(f"u{i}"), PasswordHash("h")) for i in IDS]
        await self.fill(storage, owners)
        for owner in owners:
            assert await storage.users.get(owner.id) == await storage.users.find(owner.username)
            assert await storage.users.get(owner.id) == owner
